"""The requests a screen or a command may make of the engine, and the socket they travel on.

One JSON object a line, both ways. A request is answered only after the engine has committed it; a refusal comes back
with its reason and changes nothing. The socket is also the sign of life: connection refused means no engine.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from core.errors import LabError, Refused
from core.models import Autonomy, Verdict, Via

LINE_LIMIT = 16 * 1024 * 1024
"""bytes in one request or answer"""


class NoEngine(LabError):
    """No engine answers on the lab's socket."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Is anyone there? Answers {"pid", "version", "lab"}."""


@dataclass(frozen=True, slots=True)
class Approve:
    """Run this patch: as it is, with only some hunks, or as edited. Answers {"hold_until", "commit"}."""

    experiment_id: int
    patch_sha256: str
    """the version on the reviewer's screen; the engine refuses when it has changed since"""
    edited: str | None = None
    """the whole edited patch, a unified diff against the parent commit"""
    hunks_kept: tuple[int, ...] | None = None
    """indices of the hunks that stay, None for all; not together with `edited`"""
    hunks_seen: tuple[int, ...] | None = None
    seconds: float | None = None
    reason: str = ""
    actor: str = "human"
    via: Via = Via.TUI


@dataclass(frozen=True, slots=True)
class Revise:
    """Send the patch back to its researcher with a note."""

    experiment_id: int
    patch_sha256: str
    note: str
    seconds: float | None = None
    actor: str = "human"
    via: Via = Via.TUI


@dataclass(frozen=True, slots=True)
class Veto:
    """Never run this, and do not propose it again."""

    experiment_id: int
    patch_sha256: str
    reason: str
    seconds: float | None = None
    actor: str = "human"
    via: Via = Via.TUI


@dataclass(frozen=True, slots=True)
class Defer:
    """Put it at the end of the queue."""

    experiment_id: int
    actor: str = "human"


@dataclass(frozen=True, slots=True)
class Undo:
    """Take the last decision on an experiment back; possible until its run starts."""

    experiment_id: int
    actor: str = "human"


@dataclass(frozen=True, slots=True)
class Override:
    """A human's verdict over the measured one; left out of the claim statistics."""

    experiment_id: int
    verdict: Verdict
    reason: str
    seconds: float | None = None
    actor: str = "human"
    via: Via = Via.TUI


@dataclass(frozen=True, slots=True)
class SetAutonomy:
    """Turn the dial."""

    level: Autonomy
    actor: str = "human"


@dataclass(frozen=True, slots=True)
class Pause:
    """Start no further run; the current one goes on."""

    reason: str = "paused by you"
    actor: str = "human"


@dataclass(frozen=True, slots=True)
class Resume:
    """Start runs again."""

    actor: str = "human"


@dataclass(frozen=True, slots=True)
class StopRun:
    """End one run now; its experiment is judged void."""

    run_id: int
    actor: str = "human"


@dataclass(frozen=True, slots=True)
class StopEngine:
    """End the engine. A run that is under way goes on and is adopted by the next engine, unless `runs` is set."""

    runs: bool = False
    actor: str = "human"


@dataclass(frozen=True, slots=True)
class Tell:
    """Words to the researcher: a `message` it must answer, or an `idea` to turn into a patch."""

    body: str
    kind: str = "message"
    actor: str = "human"


@dataclass(frozen=True, slots=True)
class Audit:
    """Measure the whole stack of keeps against the first baseline, on fresh seeds. Answers what will be run."""

    seeds: int = 4
    actor: str = "human"


Request = (
    Ping
    | Approve
    | Revise
    | Veto
    | Defer
    | Undo
    | Override
    | SetAutonomy
    | Pause
    | Resume
    | StopRun
    | StopEngine
    | Tell
    | Audit
)
KINDS: dict[str, type[Any]] = {
    "ping": Ping,
    "approve": Approve,
    "revise": Revise,
    "veto": Veto,
    "defer": Defer,
    "undo": Undo,
    "override": Override,
    "autonomy": SetAutonomy,
    "pause": Pause,
    "resume": Resume,
    "stop_run": StopRun,
    "stop_engine": StopEngine,
    "tell": Tell,
    "audit": Audit,
}
NAMES = {kind: name for name, kind in KINDS.items()}


def encode(request: Request) -> bytes:
    """One line for the socket."""
    return json.dumps({"request": NAMES[type(request)], **asdict(request)}).encode() + b"\n"


def decode(line: bytes) -> Request:
    """The request in one line.

    Raises:
        Refused: it is not JSON, names no known request, or a value has the wrong type.
    """
    try:
        body = json.loads(line)
    except ValueError as error:
        raise Refused("the request is not JSON") from error
    if not isinstance(body, dict) or body.get("request") not in KINDS:
        raise Refused("unknown request", hint=f"known are: {', '.join(KINDS)}")
    kind = KINDS[body.pop("request")]
    if unknown := set(body) - {f.name for f in fields(kind)}:
        raise Refused(f"{NAMES[kind]}: unknown values {', '.join(sorted(unknown))}")
    try:
        for name in ("hunks_kept", "hunks_seen"):
            if body.get(name) is not None:
                body[name] = tuple(int(i) for i in body[name])
        for name, cast in (
            ("experiment_id", int),
            ("run_id", int),
            ("seeds", int),
            ("via", Via),
            ("level", Autonomy),
            ("verdict", Verdict),
        ):
            if name in body:
                body[name] = cast(body[name])
        for name in ("reason", "note", "body", "actor", "patch_sha256", "edited", "kind"):
            if not isinstance(body.get(name, ""), str | None):
                raise Refused(f"{NAMES[kind]}: {name} must be text")
        request: Request = kind(**body)
    except (TypeError, ValueError) as error:
        raise Refused(f"{NAMES[kind]}: {error}") from error
    return request


async def ask(socket: Path, request: Request, *, timeout: float = 30.0) -> dict[str, Any]:
    """Send one request, wait for its answer.

    Raises:
        NoEngine: nobody listens.
        Refused: the engine refused, with its reason.
    """
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_unix_connection(short(socket), limit=LINE_LIMIT)
            try:
                writer.write(encode(request))
                await writer.drain()
                line = await reader.readline()
            finally:
                writer.close()
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NoEngine("no engine runs for this lab", hint="autoresearch-tui LAB starts one") from error
    except (TimeoutError, OSError) as error:
        raise NoEngine(
            f"the engine did not answer ({error or 'timed out'})", hint="autoresearch-tui status LAB"
        ) from error
    if not line:
        raise NoEngine("the engine went away before it answered", hint="look at the experiment before trying again")
    answer: dict[str, Any] = json.loads(line)
    if not answer.get("ok"):
        raise Refused(str(answer.get("error", "refused")), hint=str(answer.get("hint", "")))
    return dict(answer.get("result") or {})


def fits(path: Path | str) -> bool:
    """A socket can have this path: sun_path has 108 bytes on Linux, 104 elsewhere."""
    return len(os.fsencode(path)) < 104


def short(socket: Path) -> str:
    """A path that fits, relative to here where the whole one is too long.

    Raises:
        NoEngine: even the relative path is too long.
    """
    for path in (str(socket), os.path.relpath(socket)):
        if fits(path):
            return path
    raise NoEngine(
        f"{socket}: the path is too long for a socket", hint="go into the lab's directory, or use a shorter path"
    )
