"""What the model may read of a user's own repository: committed plain text, and nothing else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import config
from core.researchers.claude.shelf import SIZE_LIMIT, Unreadable, is_open, shelf
from tests.claude import ClaudeLab, claude_lab
from tests.messages_api import Reply, messages_api, propose, tool

GOOD = propose("LEVEL = 2.0", "LEVEL = 1.9")
KEY = "sk-ant-" + "api03-0123456789abcdef"
FILES = {
    "train.py": "import model\n",
    "model.py": "def build():\n    return 1\n",
    "src/deep/layers.py": "x = 1\n",
    "notes/how.md": "Read me.\n",
    "tokenizer.py": "t = 1\n",
    ".env": "KEY=1\n",
    ".env.production": "KEY=1\n",
    "deploy/id_ed25519": "key\n",
    "certs/server.pem": "pem\n",
    "secrets/all.txt": "s\n",
    "client_secret.json": "{}\n",
    "val.csv": "1,2\n",
    "data/test.jsonl": "{}\n",
    "leaky.py": f"key = '{KEY}'\n",
    "binary.txt": "a\0b",
    "huge.py": "x" * (SIZE_LIMIT + 1),
}


def git(folder: Path, *arguments: str) -> None:
    who = {f"GIT_{role}_{key}": "sample@localhost" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}
    subprocess.run(["git", "-C", str(folder), *arguments], env={**who, **quiet}, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A user's repository, with everything in it that must not be read."""
    root = tmp_path / "theirs"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    outside = tmp_path / "outside.py"
    outside.write_text("outside = 1\n")
    (root / "link.py").symlink_to(outside)
    (root / "folder").symlink_to(tmp_path)
    (root / ".gitignore").write_text("ignored.py\n")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "theirs")
    (root / "ignored.py").write_text("ignored = 1\n")
    (root / "new.py").write_text("new = 1\n")
    return root


READABLE = (".gitignore", "binary.txt", "leaky.py", "model.py", "notes/how.md", "src/deep/layers.py", "tokenizer.py")


def test_committed_text_is_offered_and_keys_data_links_and_strangers_are_not(repository: Path) -> None:
    found = shelf(config.Target(source=str(repository)))
    assert found.names == READABLE
    assert found.text("model.py") == FILES["model.py"]


def test_what_looks_like_a_key_or_is_no_text_is_not_shown(repository: Path) -> None:
    found = shelf(config.Target(source=str(repository)))
    with pytest.raises(Unreadable, match="looks like a key") as error:
        found.text("leaky.py")
    assert KEY not in str(error.value)
    with pytest.raises(Unreadable, match="is not text"):
        found.text("binary.txt")


def test_a_file_that_was_replaced_by_a_link_is_still_read_as_it_was_committed(repository: Path) -> None:
    (repository / "model.py").unlink()
    (repository / "model.py").symlink_to("/etc/passwd")
    assert shelf(config.Target(source=str(repository))).text("model.py") == FILES["model.py"]


def test_a_folder_of_a_repository_is_a_target_of_its_own(repository: Path) -> None:
    found = shelf(config.Target(source=str(repository / "src"), editable=["deep/none.py"]))
    assert found.names == ("deep/layers.py",)
    assert found.text("deep/layers.py") == "x = 1\n"


def test_a_directory_without_git_offers_nothing_and_says_why(tmp_path: Path) -> None:
    assert "not a git repository" in shelf(config.Target(source=str(tmp_path))).problem


def test_a_repository_without_a_commit_offers_nothing_and_says_so(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert shelf(config.Target(source=str(tmp_path))).problem == "The repository cannot be read."


@pytest.mark.parametrize(
    "path", [".ENV", "a/.aws/config", "my-api-key.txt", "passwords.txt", "x.KEY", "deep/id_rsa.pub"]
)
def test_names_of_keys_are_known_in_every_spelling(path: str) -> None:
    assert not is_open(path)


@pytest.mark.parametrize("path", ["tokenizer.py", "keys.py", "monkey.py", "src/passage.py", "environment.yml"])
def test_names_that_only_sound_like_keys_are_open(path: str) -> None:
    assert is_open(path)


@pytest.fixture
def lab(tmp_path: Path, repository: Path) -> Iterator[ClaudeLab]:
    made = claude_lab(tmp_path / "ours")
    made.source = str(repository)
    yield made
    made.store.close()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("model.py", "def build()"),
        ("src/", "1 of 1 files that can be read>\nsrc/deep/layers.py"),
        (".", "notes/how.md"),
        ("leaky.py", "looks like a key"),
        ("link.py", "There is no link.py to read"),
        ("ignored.py", "There is no ignored.py"),
        ("folder/outside.py", "There is no folder/outside.py"),
        ("../outside.py", "There is no ../outside.py"),
        (".env", "There is no .env to read"),
        ("/etc/passwd", "There is no /etc/passwd"),
    ],
)
async def test_the_model_reads_around_in_a_users_repository(lab: ClaudeLab, path: str, words: str) -> None:
    async with messages_api([Reply([tool("read_file", "t1", path=path)]), GOOD]) as api:
        await lab.researcher(api.url).propose(lab.situation(), lab.said.append)
        assert words in api.last["messages"][2]["content"][0]["content"]
        assert KEY not in str(api.requests)
        assert "src/deep/layers.py" in api.last["system"][-1]["text"]
