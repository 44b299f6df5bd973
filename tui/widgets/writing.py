"""What the researcher does now: the text it writes as it arrives, or what it waits for and what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.content import Content

from core.models import Event, State
from core.secrets import HOW
from core.text import clean, duration, one_line
from tui.actions import key_of
from tui.listing import SIGNS, outcome
from tui.research import Research
from tui.snapshot import ResearcherNote, Snapshot
from tui.widgets.line import Part
from tui.widgets.status_bar import brief
from tui.widgets.why import Part as Piece
from tui.widgets.why import when

STATES = {
    "thinking": ("▶", "at work", "$text-primary"),
    "idle": ("·", "ready", "$text-success"),
    "waiting": ("!", "waits", "$text-warning"),
    "error": ("✗", "failed", "$text-error"),
    "dry": ("○", "has run dry", "$text-warning"),
}
"""a sign, a word and a colour"""
PROPOSALS = 5


def state(lab: Snapshot, *, now: float, width: int) -> list[Part]:
    """The row that says what it does and how long; a second repaints a few cells of it."""
    note = lab.researcher
    if not note.kind:
        return [Part(Content.styled(" – no researcher has worked here yet", "$foreground-muted"))]
    if lab.alive is False and not lab.starting:
        return [Part(Content.styled(" ○ stopped with the engine", "bold $text-error"))]
    sign, word, style = STATES.get(note.state, ("?", one_line(note.state, 12), "$foreground-muted"))
    parts = [Part(Content.styled(f" {sign} {word}", f"bold {style}"))]
    if note.until > now:
        again = "goes on" if note.state == "thinking" else "tries again"
        parts.append(Part(Content.styled(f"{again} in {duration(round(note.until - now))}", "bold")))
    elif note.since and note.state == "thinking":
        parts.append(Part(Content(f"{brief(now - note.since):>6}")))
    if note.tokens:  # beside the seconds: a row is written from its first to its last changed cell
        parts.append(Part(Content(f"{one_line(note.tokens, 18):>14}")))
    if note.doing:
        parts.append(Part(Content(one_line(note.doing, max(width - (40 if note.tokens else 34), 20)))))
    return parts


def writing(lab: Snapshot, found: Research, read: Sequence[str], *, can_start: bool) -> Content:
    """The pane's text; `read`: what it looked at for this question, as far as this screen saw it."""
    note, parts = lab.researcher, list[Piece]()
    if lab.alive is False and not lab.starting:
        start = f"{key_of('restart_engine')} starts it." if can_start else "autoresearch-tui LAB starts it."
        parts += [("The engine is not running: nobody proposes.", "bold $text-error"), f" {start}\n\n"]
    if note.instead:
        parts += [(f"{clean(one_line(note.instead, 400))}\n\n", "$text-warning")]
    match note.state:
        case "thinking":
            parts += [(f"· {one_line(line, 200)}\n", "$foreground-muted") for line in read]
            if note.words:
                parts += ["\n" if read else "", clean(note.words)]
            return Content.assemble(*parts)
        case "error" | "waiting":
            parts += _trouble(note)
        case "dry":
            parts += _dry(note)
        case _ if note.kind:
            parts += _ready(lab, found)
        case _:
            parts.append("When the engine of this lab runs, what its researcher reads and writes stands here.\n")
    if note.kind == "offline" and note.key_missing:
        parts += [
            ("\nNo ANTHROPIC_API_KEY is set", "bold"),
            ": proposals come from a notebook of known ideas and a search over the constants, not from a model.\n",
            (f"{HOW}; then start the engine again.\n", "$text-accent"),
        ]
    parts += _proposals(lab)
    parts += _journal(found.journal, lab.at)
    return Content.assemble(*parts)


def _trouble(note: ResearcherNote) -> Iterable[Piece]:
    style = "bold $text-error" if note.state == "error" else "bold $text-warning"
    yield (f"{clean(note.doing)}\n", style)
    if note.words:
        yield (f"→ {clean(note.words)}\n", "$text-accent")
    yield "It tries again by itself. Runs, reviews and everything approved go on meanwhile; nothing is lost.\n"


def _dry(note: ResearcherNote) -> Iterable[Piece]:
    yield (f"It {clean(note.doing) or 'has nothing more to propose'}.\n", "bold $text-warning")
    yield (
        f"→ {key_of('idea')} gives it an idea of yours, {key_of('message')} tells it something; the next verdict or "
        "veto can change its mind too. Another researcher: researcher.kind in autoresearch.toml.\n",
        "$text-accent",
    )


def _ready(lab: Snapshot, found: Research) -> Iterable[Piece]:
    waiting, approved = len(lab.queue), lab.counts.get(State.APPROVED, 0)
    ahead = found.settings.lookahead if found.settings else None
    yield (f"{waiting} wait{'s' if waiting == 1 else ''} for a review, {approved} approved.\n", "bold")
    if ahead is None:
        return  # the configuration is still being read
    if waiting + approved >= ahead:
        yield f"It keeps {ahead} ahead, waiting or approved, and writes the next one when one starts or is dropped.\n"
    else:
        yield "It writes the next one in a moment.\n"


def _proposals(lab: Snapshot) -> Iterable[Piece]:
    newest = [summary for summary in lab.history if summary.author != "human"][:PROPOSALS]
    if newest:
        yield ("\nIts last proposals\n", "bold")
    for summary in newest:
        found = outcome(summary)
        yield f"{SIGNS[found]} #{summary.id} "
        yield (f"{found}", "$foreground-muted")
        yield f" {one_line(summary.title, 80)}\n"


def _journal(events: Sequence[Event], now: float) -> Iterable[Piece]:
    if events:
        yield ("\nWhat went wrong lately, and what became of it\n", "bold")
    for event in events:
        yield (f"{when(now - event.at)}: ", "$foreground-muted")
        yield f"{_happened(event)}\n"


def _happened(event: Event) -> str:
    """An entry of the journal in words."""
    body = event.body
    error = one_line(str(body.get("error", "")), 300)
    match event.kind:
        case "researcher_retries":
            wait = body.get("wait")
            seconds = f" after {duration(wait)}" if isinstance(wait, int | float) and wait else ""
            return f"tried again{seconds}: {error}"
        case "researcher_mends":
            problem = one_line(str(body.get("problem", "")), 300)
            return f"its proposal could not be used (try {body.get('tries', '?')}): {problem}"
        case "researcher_away":
            return f"the {one_line(str(body.get('instead', 'other')), 20)} researcher stands in: {error}"
        case "researcher_back":
            return "it is back"
        case "researcher_dry":
            return "it had nothing more to propose"
    hint = one_line(str(body.get("hint", "")), 200)
    return f"{error}{f' ({hint})' if hint else ''}"
