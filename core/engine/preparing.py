"""Makes what a lab needs before its first run: the repository and the data. Both can be interrupted and go on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from core.engine.bench import Bench, log
from core.errors import LabError, WorkspaceError
from core.failpoints import failpoint
from core.lab import target_source
from core.target import fill, profile_argument


def make_repository(bench: Bench) -> None:
    """The repository with the target's files, and the first champion; once made it needs neither again.

    Raises:
        LabError: a file of the target cannot be read, or the champion does not have it.
    """
    if bench.store.champion() is not None and bench.lab.repo.is_dir():
        _refuse_what_is_not_there(bench)
        return
    folder = Path(bench.config.target.source) if bench.config.target.source else target_source()
    files, executable = {}, set()
    for path in bench.config.target.editable:
        try:
            executable |= {path} if os.access(folder / path, os.X_OK) else set()
            files[path] = (folder / path).read_text(encoding="utf-8-sig")  # Python takes a mark in front, ast does not
        except (OSError, UnicodeDecodeError) as error:
            raise LabError(
                f"{folder / path} cannot be read: {error}", hint="target.editable in autoresearch.toml"
            ) from error
    commit = bench.workspace.create(files, "The code as it was before any experiment", executable=executable)
    failpoint("repository_made")
    if bench.store.champion() is None:
        bench.store.add_champion(commit, experiment_id=None)


def _refuse_what_is_not_there(bench: Bench) -> None:
    """A file that became editable later is in no commit of the lab: nothing could be proposed, at every try."""
    for path in bench.config.target.editable:
        try:
            bench.workspace.files(bench.champion(), [path])
        except WorkspaceError as error:
            raise LabError(
                f"target.editable names {path}, which the champion does not have: the files of a lab are those it "
                "began with. Nothing was changed.",
                hint="take it out again, or begin another lab with it: autoresearch-tui init LAB",
            ) from error


class Preparing:
    """Runs the target's own preparation as a child and shows its progress."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._next_write = 0.0
        self._described = False

    @property
    def ready(self) -> bool:
        """Never on the word of the last engine: the profile, the data or their code may have changed since."""
        return self._described and bool(self.bench.store.setting("preparation", {}).get("state") == "ready")

    async def run(self) -> None:
        """Prepare until it works once; a failure is shown and waits for `resume`."""
        try:
            await self._describe()
            self._described = True
            await self._prepare()
        except LabError as error:
            log.error("preparation failed: %s", error)
            self.bench.store.set("preparation", {"state": "failed", "error": error.message, "hint": error.hint})
            self.bench.store.event("preparation_failed", error=error.message)
        self.bench.wake.set()

    async def _describe(self) -> None:
        argv = fill(self.bench.config, self.bench.lab, self.bench.config.target.describe)
        if not argv:
            return
        process = await _start(argv)
        output, errors = await process.communicate()
        if process.returncode != 0:
            raise LabError(
                _last(errors) or f"profile {self.bench.config.target.profile!r} cannot be described",
                hint="target.profile in autoresearch.toml",
            )
        profile = _json(output)
        if profile is None:
            raise LabError(
                f"{argv[0]} … {argv[-1]} did not print a JSON object", hint="target.describe in autoresearch.toml"
            )
        self.bench.store.set("profile", profile)

    async def _prepare(self) -> None:
        target = self.bench.config.target
        argv = fill(self.bench.config, self.bench.lab, target.prepare)
        if not argv:
            self.bench.store.set("preparation", {"state": "ready"})
            return
        if target.sizes:
            argv += ["--overrides", profile_argument(self.bench.config)]
        self.bench.say("preparation", state="running", stage="starting", done=0, total=0, note="")
        process = await _start(argv)
        assert process.stdout is not None
        assert process.stderr is not None
        errors = asyncio.create_task(process.stderr.read())
        last: dict[str, Any] = {}
        try:
            while line := await process.stdout.readline():
                last = _json(line) or last
                self._show(last)
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode == 0 and isinstance(path := last.get("ready"), str) and Path(path).is_dir():
            self.bench.store.set("preparation", {**last, "state": "ready"})
            self.bench.store.event("prepared", **last)
            return
        words = _last(await errors)
        raise LabError(
            str(last.get("error") or words or f"the preparation ended with exit code {process.returncode}"),
            hint=str(last.get("hint") or "mend it, then: R, or autoresearch-tui resume LAB"),
        )

    def _show(self, line: dict[str, Any]) -> None:
        now = time.monotonic()
        if "stage" in line and now >= self._next_write:
            self._next_write = now + 0.25
            progress = {key: line.get(key) for key in ("stage", "done", "total", "note")}
            self.bench.say("preparation", state="running", **progress)


def _json(line: bytes) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError):
        value = json.loads(line)
        if isinstance(value, dict):
            return value
    return None


def _last(errors: bytes) -> str:
    lines = [line for line in errors.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[:500] if lines else ""


async def _start(argv: list[str]) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 20,
            env={k: v for k, v in os.environ.items() if not k.startswith("ANTHROPIC_")},
        )
    except OSError as error:
        raise LabError(f"{argv[0]} cannot be started: {error.strerror}") from error
