"""Where the key comes from, and that nobody else gets to see it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core import secrets
from core.errors import ConfigError
from core.secrets import Secret

KEY = "sk-ant-0123456789"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in (*secrets.VARIABLES, secrets.HEADERS):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def key_file(path: Path, text: str = f"{KEY}\n", mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_there_may_be_no_key() -> None:
    assert secrets.find() is None


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = key_file(tmp_path / "key", "sk-of-the-file")
    assert secrets.find(str(file)) == Secret("sk-of-the-file", str(file))
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token")
    assert secrets.find(str(file)) == Secret("token", "ANTHROPIC_AUTH_TOKEN", "auth_token")
    monkeypatch.setenv("ANTHROPIC_API_KEY", f" {KEY}\n")
    assert secrets.find(str(file)) == Secret(KEY, "ANTHROPIC_API_KEY")


def test_a_file_in_the_usual_place_needs_no_configuration() -> None:
    file = key_file(secrets.default_file())
    assert secrets.find() == Secret(KEY, str(file))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o777])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match="may be read by others") as error:
        secrets.find(str(key_file(tmp_path / "key", mode=mode)))
    assert "chmod 600" in error.value.hint


@pytest.mark.parametrize("text", ["", "\n", "two words", "sk-ü", "x" * 5000, "export KEY=sk-1 \n"])
def test_a_file_with_something_else_than_a_key_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="does not hold one key") as error:
        secrets.find(str(key_file(tmp_path / "key", text)))
    assert not text.strip() or text.strip() not in str(error.value)


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        secrets.find(str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match=r"cannot be read|may be read by others"):
        secrets.find(str(tmp_path))


def test_headers_of_a_gateway_leave_the_environment_with_the_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("core.secrets.harden", lambda: True)  # pytest's own process stays as it is
    monkeypatch.setenv(secrets.HEADERS, "X-Gateway: gw-secret-123\n nonsense \nX-Team: a: b")
    secret = secrets.take(str(key_file(tmp_path / "key")))
    assert secret is not None
    assert secret.headers == (("X-Gateway", "gw-secret-123"), ("X-Team", "a: b"))
    assert secrets.HEADERS not in os.environ
    assert "gw-secret" not in repr(secret)
    assert secret.redact("your X-Gateway gw-secret-123 is old, a: b") == "your X-Gateway [key] is old, a: b"


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret(KEY, "ANTHROPIC_API_KEY")
    assert KEY not in f"{secret} {secret!r} {[secret]}"
    assert secret.redact(f"invalid x-api-key: {KEY}!") == "invalid x-api-key: [key]!"


WORK = """
import os, subprocess, sys
from core import secrets
secret = secrets.take()
assert secret.value == "sk-ant-0123456789", secret
assert not [name for name in os.environ if name in secrets.VARIABLES]
child = subprocess.run([sys.executable, "-c", "import os; print(os.environ)"], capture_output=True, text=True)
assert "sk-ant" not in child.stdout
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_after_taking_the_key_neither_children_nor_proc_have_it() -> None:
    """Root may read every process: so the block the key was taken from is wiped, too."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "ANTHROPIC_API_KEY": KEY, "ANTHROPIC_AUTH_TOKEN": f"{KEY}-token", "PYTHONPATH": os.getcwd()},
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        try:
            environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        except PermissionError:
            environment = b""
        assert KEY.encode() not in environment
    finally:
        process.stdin.close()
        assert process.wait() == 0


LOOK = """
import ctypes, os, sys
from core import secrets
def another_may_look():
    before = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            open(f"/proc/{before}/environ").read()
        except PermissionError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
ctypes.CDLL(None).prctl(secrets.PR_SET_DUMPABLE, 1, 0, 0, 0)
print(another_may_look(), secrets.harden(), another_may_look())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl")
def test_another_process_of_the_same_user_cannot_look_into_a_hardened_one() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        check=False,
    )
    assert done.stdout.strip() == "True True False", done.stderr
