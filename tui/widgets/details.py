"""One experiment beside the table: who proposed it, what it was meant to do, what became of it. Pure."""

from __future__ import annotations

from textual.content import Content

from core.text import one_line
from tui.detail import Detail
from tui.snapshot import Snapshot
from tui.widgets.why import why


def details(detail: Detail, lab: Snapshot, *, size: tuple[int, int] | None = None, doubtful: bool = False) -> Content:
    """The pane's text; `size`: lines its patch adds and removes."""
    shown = detail.experiment
    facts = [one_line(shown.author, 32)]
    if size:
        facts.append(f"+{size[0]} -{size[1]} lines")
    parts: list[str | Content | tuple[str, str]] = [
        (f"#{shown.id} {one_line(shown.title, 200)}\n", "bold"),
        (f"{', '.join(facts)}\n", "$foreground-muted"),
    ]
    if doubtful:
        parts.append(("now within noise: today's noise would not keep it\n", "$text-warning"))
    if shown.overridden_by:
        parts.append((f"verdict by hand: {one_line(shown.overridden_by, 32)}\n", "$text-warning"))
    return Content.assemble(*parts, "\n", why(detail, lab))
