"""hf: corpora, against a hub that is a directory."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from data.errors import DataError
from data.hub import download


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that answers for the hub: what lies in it can be listed and downloaded."""
    root = tmp_path / "hub"
    root.mkdir()
    fake, errors = ModuleType("huggingface_hub"), ModuleType("huggingface_hub.errors")

    class HfHubHTTPError(OSError):
        pass

    class RepositoryNotFoundError(HfHubHTTPError):
        pass

    def entries(repo: str, path_in_repo: str | None, **_: Any) -> list[Any]:
        if repo != "owner/texts":
            raise RepositoryNotFoundError("404")
        found = sorted(root.glob("*"))
        digests = {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in found}
        return [
            SimpleNamespace(path=p.name, size=p.stat().st_size, lfs=SimpleNamespace(sha256=digests[p])) for p in found
        ]

    def fetch(repo: str, name: str, repo_type: str, cache_dir: Path) -> str:
        cache_dir.mkdir(parents=True, exist_ok=True)
        if not (cache_dir / name).exists():
            shutil.copy(root / name, cache_dir / name)
        return str(cache_dir / name)

    for name, value in (("HfApi", lambda: SimpleNamespace(list_repo_tree=entries)), ("hf_hub_download", fetch)):
        setattr(fake, name, value)
    for error in (HfHubHTTPError, RepositoryNotFoundError):
        setattr(errors, error.__name__, error)
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
    return root


def test_only_as_many_shards_as_needed_are_downloaded(hub: Path, tmp_path: Path) -> None:
    for index in range(5):
        (hub / f"shard_{index}.parquet").write_bytes(bytes(1000))
    (hub / "README.md").write_text("no shard")
    paths = download("owner/texts", 2500, tmp_path / "cache")
    assert [path.name for path in paths] == ["shard_0.parquet", "shard_1.parquet", "shard_2.parquet"]


def test_a_shard_with_a_wrong_checksum_is_deleted_and_said(hub: Path, tmp_path: Path) -> None:
    (hub / "shard_0.parquet").write_bytes(b"right")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "shard_0.parquet").write_bytes(b"wrong")
    with pytest.raises(DataError, match="checksum"):
        download("owner/texts", 10, tmp_path / "cache")
    assert download("owner/texts", 10, tmp_path / "cache")[0].read_bytes() == b"right"


@pytest.mark.parametrize(
    ("spec", "says"), [("owner/nothing", "no data set"), ("alone", "cannot read"), ("owner/texts", "no parquet")]
)
def test_what_cannot_be_downloaded_is_said_with_a_hint(spec: str, says: str, hub: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=says) as caught:
        download(spec, 10, tmp_path / "cache")
    assert caught.value.hint


def test_without_the_hub_client_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(DataError) as caught:
        download("owner/texts", 10, tmp_path)
    assert "autoresearch-tui[hf]" in caught.value.hint
