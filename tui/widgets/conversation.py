"""The conversation with the researcher: what people told it, and which proposal answered. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from core.models import Message
from core.text import clean, one_line
from tui.actions import key_of
from tui.listing import SIGNS, outcome
from tui.snapshot import Snapshot
from tui.widgets.why import Part, when

MOST = 200
"""messages that are shown, the newest"""


def unanswered(messages: Sequence[Message]) -> int:
    return sum(message.answered_by is None for message in messages)


def conversation(messages: Sequence[Message], lab: Snapshot) -> Content:
    """The pane's text, newest first."""
    keys = f"{key_of('message')} tells it something, {key_of('idea')} gives it an idea to turn into a patch"
    if not messages:
        return Content(f"Nothing was said yet: {keys}.")
    parts: list[Part] = []
    if lab.researcher.kind == "offline" and unanswered(messages):
        parts += [
            (
                "The offline researcher cannot read prose: messages wait until a model proposes. A note that sends a "
                "patch back it does follow, where it names a number or says smaller or larger.\n\n",
                "$text-warning",
            )
        ]
    for message in messages[:MOST]:
        parts += [
            (f"{one_line(message.actor, 24)}", "bold"),
            (f", {when(lab.at - message.at)}, {message.kind}\n", "$foreground-muted"),
            f"{clean(message.body.strip())}\n",
            *_answer(message, lab),
            "\n",
        ]
    if len(messages) > MOST:
        parts.append((f"{len(messages) - MOST} older ones are in the record.\n", "$foreground-muted"))
    return Content.assemble(*parts)


def _answer(message: Message, lab: Snapshot) -> list[Part]:
    if message.answered_by is None:
        offline = lab.researcher.kind == "offline"
        by = "it waits for a researcher that reads prose" if offline else "the next proposal answers it"
        return [(f"? not answered yet: {by}\n", "bold $text-warning")]
    found = lab.by_id.get(message.answered_by)
    if found is None:
        return [(f"→ answered by #{message.answered_by}\n", "$text-success")]
    what = outcome(found)
    words = f"→ #{found.id} {one_line(found.title, 80)}"
    return [(words, "$text-success"), f"  {SIGNS[what]} {what}\n"]
