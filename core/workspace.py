"""Git, through GitPython, behind this one file. Objects and refs only: no checkout, nobody's index, hooks or filters.

Every approved experiment keeps `refs/autoresearch/<id>`, so discarded work is never lost; the branch
`autoresearch/<lab>` is the champion. A repository is opened per operation (GitPython leaks in long-running processes).
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import ModuleType

from core.errors import WorkspaceError
from core.failpoints import failpoint

REFS = "refs/autoresearch"
MODES = ("100644", "100755")
"""of a plain file, and of one that may be run by itself"""
KEPT_COMMITS = 64
"""commits whose files are kept in memory"""
ISOLATED = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_AUTHOR_NAME": "autoresearch-tui",
    "GIT_AUTHOR_EMAIL": "autoresearch@localhost",
    "GIT_COMMITTER_NAME": "autoresearch-tui",
    "GIT_COMMITTER_EMAIL": "autoresearch@localhost",
}
SAFE = [
    "-c", f"core.hooksPath={os.devnull}", "-c", "core.fsync=committed", "-c", "commit.gpgSign=false",
    "-c", "safe.directory=*",  # a lab may belong to another user; whoever opens it runs its commands anyway
]  # fmt: skip
OF_SOMEBODY_ELSE = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_CEILING_DIRECTORIES", "GIT_PREFIX", "GIT_QUARANTINE_PATH",
)  # fmt: skip
"""variables that git leaves in the environment of its hooks and aliases: they name another repository than the lab's"""


class Workspace:
    """One lab's repository.

    Raises:
        WorkspaceError: git is missing, the repository is missing or damaged, or git refuses.
    """

    def __init__(self, repo: Path, *, lab: str) -> None:
        self.repo = repo
        self._files: dict[str, dict[str, str]] = {}
        self.branch = f"refs/heads/autoresearch/{''.join(c if c.isalnum() or c in '-_' else '-' for c in lab)}"

    # ---- making and mending ------------------------------------------------------------------------------------

    def create(self, files: Mapping[str, str], message: str, *, executable: Collection[str] = ()) -> str:
        """A repository whose first commit holds these files; finishes one that was interrupted. Returns the commit."""
        self.remove_stale_locks()
        if not (self.repo / ".git").exists() or not self._is_begun():
            git = _library()
            try:
                git.Repo.init(self.repo, mkdir=True, initial_branch="main", env=ISOLATED).close()
            except (git.GitError, OSError) as error:
                raise WorkspaceError(f"{self.repo}: git cannot make a repository: {error}") from error
        if (head := self.ref(self.branch)) is not None:
            return head
        with self._index() as index:
            for path, text in files.items():
                blob = self._git("hash-object", "-w", "--stdin", "--no-filters", stdin=text.encode())
                mode = MODES[path in executable]
                self._git("update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}", index=index)
            tree = self._git("write-tree", index=index)
        commit = self._git("commit-tree", tree, "-m", message, at=0.0)
        for path, text in files.items():  # the plain checkout on main is for people; the engine never reads it
            target = self.repo / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        self._git("update-ref", "refs/heads/main", commit)
        self._git("read-tree", commit)
        self._git("update-ref", self.branch, commit)
        return commit

    def remove_stale_locks(self) -> list[str]:
        """Locks that a killed git left behind. Only safe while the engine lock is held: nobody else writes our refs."""
        home = self.repo / ".git"
        locks = [home / name for name in ("HEAD.lock", "index.lock", "config.lock", "packed-refs.lock")]
        locks += (home / "refs" / "heads").glob("main.lock")
        for folder in ("refs/autoresearch", "refs/heads/autoresearch"):
            locks += (home / folder).rglob("*.lock")
        removed = [lock for lock in locks if lock.exists()]
        for lock in removed:
            lock.unlink(missing_ok=True)
        return [str(lock) for lock in removed]

    def _is_begun(self) -> bool:
        """`git init` came to its end; doing it again harms nothing."""
        try:
            return bool(self._git("rev-parse", "--git-dir"))
        except WorkspaceError:
            return False

    def problems(self) -> list[str]:
        """What git finds wrong with the object database; empty when it is whole."""
        try:
            text = self._git("fsck", "--connectivity-only", "--no-dangling", "--no-progress")
        except WorkspaceError as error:
            return [error.message]
        return [line for line in text.splitlines() if not line.startswith("notice:")]

    # ---- reading -----------------------------------------------------------------------------------------------

    def ref(self, name: str) -> str | None:
        """The commit a ref names, None where there is no such ref."""
        return self._git("for-each-ref", "--format=%(objectname)", name) or None

    def experiment_ref(self, experiment_id: int) -> str | None:
        return self.ref(f"{REFS}/{experiment_id}")

    def experiment_refs(self) -> dict[int, str]:
        """Experiment id -> commit, for every experiment that ever ran."""
        return self._by_experiment("%(objectname)")

    def experiment_parents(self) -> dict[int, str]:
        """Experiment id -> the commit that its commit was made on."""
        return self._by_experiment("%(parent)")

    def _by_experiment(self, what: str) -> dict[int, str]:
        lines = self._git("for-each-ref", f"--format=%(refname) {what}", REFS).splitlines()
        refs = (line.rpartition("/")[2].partition(" ") for line in lines)
        return {int(number): found for number, _, found in refs if number.isdigit()}

    def head(self) -> str | None:
        """The champion branch."""
        return self.ref(self.branch)

    def files(self, commit: str, paths: Sequence[str]) -> dict[str, str]:
        """The text of some files at a commit; kept, since a commit never changes."""
        known = self._files.setdefault(commit, {})
        for path in paths:
            if path not in known:
                known[path] = self._git_bytes("cat-file", "blob", f"{commit}:{path}").decode("utf-8", errors="replace")
        while len(self._files) > KEPT_COMMITS:
            del self._files[next(iter(self._files))]
        return {path: known[path] for path in paths}

    def tree(self, commit: str) -> dict[str, int]:
        """The plain files at a commit and their bytes; links and submodules are left out."""
        listed = self._git_bytes("ls-tree", "-r", "-l", "-z", commit).decode("utf-8", errors="replace")
        entries = (entry.split("\t", 1) for entry in listed.split("\0") if entry)
        return {path: int(meta.split()[3]) for meta, path in entries if meta.startswith("100")}

    def diff(self, old: str, new: str) -> str:
        """A unified diff between two commits."""
        options = ("-p", "--no-ext-diff", "--no-textconv", "--no-renames")
        return self._git_bytes("diff-tree", *options, old, new).decode("utf-8", errors="replace")

    def export(self, commit: str, directory: Path) -> None:
        """Write a commit's tree into a directory: plain files, no filters; links only where they stay inside."""
        directory.mkdir(parents=True, exist_ok=True)
        targets: list[tuple[str, Path, int]] = []
        for entry in self._git_bytes("ls-tree", "-r", "-z", commit).decode().split("\0"):
            if not entry:
                continue
            meta, path = entry.split("\t", 1)
            mode, kind, sha = meta.split()
            if kind == "commit":
                continue  # a submodule: nothing of it is in this repository
            if mode == "120000":
                raise WorkspaceError(f"{path} is a symbolic link; a run's tree holds plain files only")
            if ".." in PurePosixPath(path).parts or path.startswith("/"):
                raise WorkspaceError(f"{path}: not a path inside the tree")
            targets.append((sha, directory / path, 0o755 if mode == "100755" else 0o644))
        wanted = "".join(f"{sha}\n" for sha, _, _ in targets).encode()
        blobs = io.BytesIO(self._git_bytes("cat-file", "--batch", stdin=wanted))
        for sha, target, mode_bits in targets:
            header = blobs.readline().split()
            if header[:2] != [sha.encode(), b"blob"]:
                raise WorkspaceError(f"{target.name}: git has no content for {sha[:12]}")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(blobs.read(int(header[2])))
            target.chmod(mode_bits)
            blobs.read(1)  # the newline after each blob

    # ---- writing -----------------------------------------------------------------------------------------------

    def refusal(self, parent: str, patch: str) -> str:
        """Why `git apply --check` refuses a patch on a commit; empty when it applies."""
        with self._index() as index:
            self._git("read-tree", parent, index=index)
            try:
                self._git("apply", "--cached", "--check", "-", index=index, stdin=patch.encode())
            except WorkspaceError as error:
                return error.message
        return ""

    def commit(self, experiment_id: int, parent: str, files: Mapping[str, str], *, message: str, at: float) -> str:
        """Commit changed files on a parent and keep the commit under the experiment's ref; two git processes.

        The same arguments make the same commit, so a crash in the middle is finished by calling this again.
        """
        ref, executable = f"{REFS}/{experiment_id}", self._executable(parent)
        who = f"{ISOLATED['GIT_AUTHOR_NAME']} <{ISOLATED['GIT_AUTHOR_EMAIL']}> {int(at)} +0000"
        text = f"{message}\n\nExperiment: {experiment_id}\n".encode()
        stream = [f"commit {ref}\ncommitter {who}\ndata {len(text)}\n".encode(), text, f"\nfrom {parent}\n".encode()]
        for path, content in sorted(files.items()):
            data = content.encode()
            mode = MODES[path in executable]
            stream += [f"M {mode} inline {path}\ndata {len(data)}\n".encode(), data, b"\n"]
        self._git_bytes("fast-import", "--quiet", "--date-format=raw", "--force", stdin=b"".join(stream))
        failpoint("commit_written")
        commit = self.ref(ref)
        if commit is None:
            raise WorkspaceError(f"git fast-import left no {ref}")
        return commit

    def _executable(self, commit: str) -> set[str]:
        """The files at a commit that may be run by themselves."""
        listed = self._git_bytes("ls-tree", "-r", "-z", commit).decode("utf-8", errors="replace")
        return {entry.partition("\t")[2] for entry in listed.split("\0") if entry.startswith(MODES[True])}

    def set_champion(self, commit: str) -> None:
        """Move the champion branch, if it is not there already."""
        if (old := self.head()) != commit:
            self._git("update-ref", self.branch, commit, old or "")
            failpoint("champion_ref_written")

    # ---- plumbing ----------------------------------------------------------------------------------------------

    @contextmanager
    def _index(self) -> Iterator[Path]:
        """A throw-away index, so that nobody's real one is touched."""
        with tempfile.TemporaryDirectory(prefix="autoresearch-index-") as folder:
            yield Path(folder) / "index"

    def _git(
        self, *arguments: str, stdin: bytes | None = None, index: Path | None = None, at: float | None = None
    ) -> str:
        """What git prints, as text without the last newline."""
        return (
            self._git_bytes(*arguments, stdin=stdin, index=index, at=at).decode("utf-8", errors="replace").rstrip("\n")
        )

    def _git_bytes(
        self, *arguments: str, stdin: bytes | None = None, index: Path | None = None, at: float | None = None
    ) -> bytes:
        git = _library()
        environment = dict(ISOLATED)
        if index is not None:
            environment["GIT_INDEX_FILE"] = str(index)
        if at is not None:
            environment["GIT_AUTHOR_DATE"] = environment["GIT_COMMITTER_DATE"] = f"@{int(at)} +0000"
        try:
            with tempfile.TemporaryFile() as feed, git.Repo(self.repo) as repo:
                if stdin is not None:
                    feed.write(stdin)
                    feed.seek(0)
                output: bytes = repo.git.execute(
                    ["git", *SAFE, *arguments],
                    istream=feed,
                    env=environment,
                    stdout_as_string=False,
                    strip_newline_in_stdout=False,
                )
                return output
        except git.GitCommandNotFound as error:
            raise WorkspaceError("git is not installed", hint="apt-get install git") from error
        except git.GitCommandError as error:
            words = str(error.stderr).strip().removeprefix("stderr:").strip().strip("'").strip()
            raise WorkspaceError(f"git {arguments[0]}: {words or error}") from error
        except (git.GitError, OSError) as error:
            raise WorkspaceError(
                f"{self.repo} is not a git repository that can be used ({error})",
                hint="the database still holds every patch; autoresearch-tui verify LAB says what is missing",
            ) from error


def forget_other_repositories() -> None:
    """Take out of this process's environment what would lead git away from the lab's repository."""
    for name in OF_SOMEBODY_ELSE:
        os.environ.pop(name, None)


def _library() -> ModuleType:
    """GitPython, which looks for the git program when it is imported."""
    try:
        import git
    except ImportError as error:
        raise WorkspaceError("git is not installed", hint="apt-get install git") from error
    return git
