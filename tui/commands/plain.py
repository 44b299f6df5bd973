"""`review --plain`: the waiting proposals as plain text, one after the other, and a word for each decision.

For screen readers, dumb terminals and pipes. Lines of ours begin at the left edge; whatever a researcher wrote is
indented or stands behind a line number, so that no text of theirs can pass for a line of ours. A word decides only
about the version that was printed. In a pipe a mistake or a refusal ends the session: the words after it were meant
for another text.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import click

from core.errors import LabError, Refused
from core.lab import Lab
from core.models import State, Via
from core.patches import Hunk
from core.requests import Approve, Defer, Revise, Undo, Veto
from core.store import Reader
from core.text import clean, one_line, reveal
from tui.commands.frame import EXIT_NOT_AS_WANTED, narrate, send
from tui.detail import Detail, LabSources, load
from tui.personal import who

WORDS = "approve | veto REASON | revise NOTE | defer | undo | next | quit"
STUCK = ("dry", "error")
"""researcher states in which waiting for a proposal may take for ever"""


def printed(detail: Detail, place: str) -> Iterator[str]:
    """One proposal whole, a line at a time; every line is safe to show."""
    shown = detail.experiment
    yield f"Proposal #{shown.id}, {place}: {one_line(shown.title, 200)}"
    sha = (shown.patch_sha256 or "none")[:12]
    yield f"By {one_line(shown.author, 60)}, on {shown.parent_commit[:10]}, patch {sha}."
    for problem in dict.fromkeys(text for text in (detail.problem, shown.problem) if text):
        yield f"Problem: {one_line(problem, 400)}"
    for name, text in (("Hypothesis", shown.hypothesis), ("Rationale", shown.rationale)):
        yield f"{name}:"
        yield from indented(text or "none was given")
    yield f"Findings: {len(detail.findings) or 'none'}"
    for finding in detail.findings:
        where = f"{one_line(finding.path, 60)}{f' line {finding.line}' if finding.line else ''}"
        yield f"  {finding.level}: {where}: {one_line(finding.word, 60)} {one_line(finding.why, 200)}"
    if detail.patch is None:
        yield "Patch, as it is stored:" if detail.text else "There is no patch."
        yield from indented(detail.text) if detail.text else ()
        return
    patch = detail.patch
    count = f"{len(patch.files)} {'file' if len(patch.files) == 1 else 'files'}"
    yield f"Patch: {count}, {detail.hunks} hunks, {patch.added} lines added, {patch.removed} removed."
    for file in patch.files:
        for hunk in file.hunks:
            section = f", in {one_line(hunk.section, 80)}" if hunk.section else ""
            yield f"Hunk {hunk.index + 1} of {detail.hunks}, {one_line(file.path, 100)} line {hunk.new_start}{section}"
            yield from numbered(hunk)
    yield f"End of #{shown.id}."


def numbered(hunk: Hunk) -> Iterator[str]:
    """The lines of a hunk: marker, line number (of the new file; of the old one where it is removed), text."""
    old, new = hunk.old_start, hunk.new_start
    for line in hunk.lines:
        marker, text = line[0], reveal(line[1:]).expandtabs(4)
        if marker == "\\":
            yield f"  {'':>5}  (no newline at the end)"
            continue
        yield f"{marker} {old if marker == '-' else new:>5}  {text}"
        old += marker in " -"
        new += marker in " +"


def indented(text: str) -> Iterator[str]:
    for line in text.splitlines() or [""]:
        yield f"  {clean(line)}"


@dataclass
class PlainReview:
    """One session at the words."""

    lab: Lab
    interactive: bool
    """somebody types; a mistake is said and the session goes on"""
    current: Detail | None = None
    since: float = 0.0
    decided: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = Reader(self.lab.database)
        self.sources = LabSources(self.lab.repo, self.lab.config_file, lab=self.lab.name)

    def work(self, lines: Iterator[str]) -> int:
        """Print, read, decide, until `quit` or the end of the input; the exit code."""
        narrate(f"Words: {WORDS}. An empty line decides nothing.")
        self.show(self.first())
        self.prompt()
        for line in lines:
            word, _, rest = line.strip().partition(" ")
            if word in ("quit", "q", "exit"):
                return 0
            try:
                if not self.obey(word.lower(), rest.strip()):
                    return EXIT_NOT_AS_WANTED
            except LabError as error:
                if not self.interactive:
                    raise
                narrate(f"{'refused: ' if isinstance(error, Refused) else ''}{error.message}")
                narrate(error.hint)
                if isinstance(error, Refused) and self.current:
                    self.show(self.current.experiment.id)
            self.prompt()
        return 0

    def obey(self, word: str, rest: str) -> bool:
        """One word; False when it can only be waited for in vain."""
        match word:
            case "":
                pass
            case "approve" | "veto" | "revise" | "defer":
                self.decide(word, rest)
            case "undo":
                self.undo()
            case "next":
                return self.next()
            case "help" | "?":
                narrate(WORDS)
            case _:
                raise LabError(f"{one_line(word, 40)!r} is no word of this session", hint=WORDS)
        return True

    def decide(self, word: str, rest: str) -> None:
        """Ask the engine, about exactly the version that was printed."""
        if self.current is None:
            raise LabError("nothing waits for a review", hint="next waits for a proposal")
        shown, seconds = self.current.experiment, round(time.monotonic() - self.since, 1)
        sha, actor = shown.patch_sha256 or "", who()
        if word in ("veto", "revise") and not rest:
            raise LabError(f"{word} needs words after it: the researcher learns from them", hint=f"{word} TEXT")
        if word in ("approve", "defer") and rest:
            raise LabError(f"{word} stands alone", hint="nothing was decided")
        match word:
            case "approve":
                seen = tuple(range(self.current.hunks))
                send(self.lab, Approve(shown.id, sha, None, None, seen, seconds, "", actor, Via.CLI), start=True)
                done = f"#{shown.id} approved; undo takes it back until its run starts"
            case "veto":
                send(self.lab, Veto(shown.id, sha, rest, seconds, actor, Via.CLI), start=True)
                done = f"#{shown.id} vetoed; undo takes it back"
            case "revise":
                send(self.lab, Revise(shown.id, sha, rest, seconds, actor, Via.CLI), start=True)
                done = f"#{shown.id} goes back to the researcher; undo takes it back"
            case _:
                send(self.lab, Defer(shown.id, actor), start=True)
                done = f"#{shown.id} is at the end of the queue"
        if word != "defer":
            self.decided.append(shown.id)
        narrate(done)
        self.show(self.first())

    def undo(self) -> None:
        if not self.decided:
            raise LabError("nothing was decided in this session", hint=f"autoresearch-tui undo {self.lab.root} ID")
        answer = send(self.lab, Undo(self.decided[-1], who()), start=True)
        taken = self.decided.pop()
        narrate(f"the decision ({answer.get('decision', 'the last')}) on #{taken} is taken back")
        self.show(taken)

    def next(self) -> bool:
        """The proposal after this one; where nothing waits, the next one that comes."""
        queue = [summary.id for summary in self.reader.queue()]
        here = self.current.experiment.id if self.current else None
        if not queue:
            narrate("waiting for a proposal; Ctrl-C leaves")
        while not queue:
            state = self.reader.setting("researcher", {}).get("state")
            if state in STUCK and not self.interactive:
                narrate("nothing waits, and the researcher has nothing to propose")
                return False
            time.sleep(0.2)
            queue = [summary.id for summary in self.reader.queue()]
        at = queue.index(here) + 1 if here in queue else 0
        self.show(queue[at % len(queue)])
        return True

    def first(self) -> int | None:
        return next((summary.id for summary in self.reader.queue()), None)

    def show(self, experiment_id: int | None) -> None:
        """Print a proposal; decisions are about this version from now on."""
        queue = [summary.id for summary in self.reader.queue()]
        self.current, self.since = None, time.monotonic()
        if experiment_id is None:
            click.echo("Nothing waits for a review.")
            return
        found = load(self.reader, experiment_id, self.sources, lambda run: self.lab.run_directory(run) / "stdout.log")
        if found is None or found.experiment.state is not State.PROPOSED:
            state = found.experiment.state if found else "gone"
            narrate(f"#{experiment_id} is {state}: it no longer waits")
            if queue and queue[0] != experiment_id:
                self.show(queue[0])
            return
        self.current = found
        at = queue.index(experiment_id) + 1 if experiment_id in queue else 1
        for line in printed(found, f"{at} of {len(queue)} that wait"):
            click.echo(clean(line))

    def prompt(self) -> None:
        if self.interactive:
            what = f"#{self.current.experiment.id}" if self.current else "nothing waits"
            click.echo(f"{what}> ", err=True, nl=False)
