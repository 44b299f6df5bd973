"""Shards from the hub: downloaded with resume, checked against the hub's own sha256. Needs the extra `hf`."""

from __future__ import annotations

from pathlib import Path

from data.errors import DataError
from data.prepared import sha256_of


def download(spec: str, need_bytes: int, cache: Path) -> list[Path]:
    """The first shards of `OWNER/REPO[/path]`, enough for `need_bytes`; those already here are only checked.

    Raises DataError without huggingface_hub, without a network, for an unknown repository, or on a wrong
    checksum.
    """
    try:
        from huggingface_hub import HfApi, hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
    except ImportError:
        raise DataError("hf: corpora need huggingface-hub", "pip install autoresearch-tui[hf]") from None
    owner, _, rest = spec.partition("/")
    name, _, folder = rest.partition("/")
    if not owner or not name:
        raise DataError(f"cannot read hf:{spec}", "write it as hf:OWNER/REPO or hf:OWNER/REPO/folder")
    repo = f"{owner}/{name}"
    try:
        tree = HfApi().list_repo_tree(repo, path_in_repo=folder or None, recursive=True, repo_type="dataset")
        shards = sorted(
            (entry for entry in tree if getattr(entry, "size", None) and entry.path.endswith(".parquet")),
            key=lambda entry: entry.path,
        )
        if not shards:
            raise DataError(f"no parquet shards in hf:{spec}", "name the folder: hf:OWNER/REPO/folder")
        paths: list[Path] = []
        total = 0
        for shard in shards:
            if total >= need_bytes:
                break
            path = Path(hf_hub_download(repo, shard.path, repo_type="dataset", cache_dir=cache))
            _check(path, shard.lfs.sha256 if shard.lfs else None)
            paths.append(path)
            total += shard.size
        return paths
    except RepositoryNotFoundError as error:
        raise DataError(
            f"no data set {repo} on the hub, or no right to see it", "check the name and HF_TOKEN"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise DataError(
            f"cannot download hf:{spec}: {str(error).splitlines()[0]}",
            "check the network and run it again: finished shards are kept, a partial one is resumed",
        ) from error


def _check(path: Path, expected: str | None) -> None:
    if expected and sha256_of(path.resolve()) != expected:
        path.resolve().unlink(missing_ok=True)
        raise DataError(f"the shard {path.name} does not match the hub's checksum", "run it again: it was deleted")
