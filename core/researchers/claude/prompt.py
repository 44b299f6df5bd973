"""Everything the model is told, rebuilt from the record for every question, inside a budget of tokens. Pure.

The order is that of how long things stay the same, for a cache keeps a prefix: the rules and the brief (the whole lab),
the champion's files and lineage (until the next keep), whole chunks of history (for ever), and then what is new each
time, with the question at the end. No time of day and no duration is in it: the same record makes the same prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.researchers.base import Situation
from core.researchers.claude.asking import news, request
from core.researchers.claude.facts import Facts
from core.researchers.claude.history import HEADS, history, lineage
from core.researchers.claude.question import Question
from core.researchers.claude.rules import BRIEF, RULES
from core.researchers.claude.words import estimate, fenced, quoted, shortened
from core.text import one_line

FILES_SHARE, LINEAGE_SHARE, NEWS_SHARE = 0.6, 0.1, 0.2
"""the most of the budget that the files, the kept changes and the newest words may take"""
READABLE = 60
"""names of frozen files that are told; a folder's are a tool call away"""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What goes into `system` and into the first message."""

    system: list[dict[str, Any]]
    content: list[dict[str, Any]]
    tokens: int
    """estimated, tools left out"""


def build(situation: Situation, facts: Facts, asked: Question, *, tokens: int, cache: str = "1h") -> Prompt:
    """The prompt for one question in about so many tokens."""
    rules = RULES.format(metric=situation.metric, better="lower" if situation.direction == "min" else "higher")
    brief = BRIEF.format(program=fenced("program.md, written by the human", shortened(situation.program, 40_000)))
    brief += _readable(facts.readable)
    files = _files(situation.files, int(FILES_SHARE * tokens))
    kept = lineage(situation.history, situation.direction, int(LINEAGE_SHARE * tokens))
    told = news(situation, facts, asked, int(NEWS_SHARE * tokens))
    words = request(situation, facts, asked)
    fixed = [rules, brief, *files, kept, told, words]
    left = tokens - HEADS - sum(estimate(text) for text in fixed)
    past = history(situation.history, situation.reviews, situation.direction, max(0, left))
    blocks: list[dict[str, Any]] = [_text(text) for text in files]
    blocks.append(_text(f"# Kept so far, oldest first\n{kept or 'Nothing yet: the champion is the first version.'}"))
    _mark(blocks[-1], cache)
    if past.older:
        blocks.append(_text(f"# Older experiments, summarised (`experiments` shows each)\n{past.older}"))
    heads = ["# Experiments, in the order they were settled", *[""] * len(past.chunks)]
    for head, chunk in zip(heads, past.chunks, strict=False):
        blocks.append(_text(f"{head}\n{chunk}".lstrip("\n")))
    if past.older or past.chunks:
        _mark(blocks[-1], cache)
    newest = f"# Newest experiments\n{past.newest or '(none)'}"
    blocks.append(_text("\n\n".join(part for part in (newest, told, words) if part)))
    system = [_text(rules), _text(brief)]
    _mark(system[-1], cache)
    total = sum(estimate(str(block["text"])) for block in [*system, *blocks])
    return Prompt(system, blocks, total)


def _readable(names: Sequence[str]) -> str:
    """What else `read_file` opens."""
    if not names:
        return ""
    shown = "\n".join(one_line(name, 120) for name in names[:READABLE])
    more = f", the first {READABLE} of {len(names)}; a folder as the path lists more" if len(names) > READABLE else ""
    return f"\n\n# Files you can read and not change (`read_file`{more})\n{quoted('names', shown, 6_000)}"


def _files(files: Mapping[str, str], tokens: int) -> list[str]:
    """The editable files whole, or as much of them as fits."""
    each = max(1_000, 3 * tokens // max(1, len(files)))
    parts = []
    for path, text in sorted(files.items()):
        shown = text if len(text) <= each else text[:each]
        cut = "" if shown == text else f", the first {len(shown):,} of {len(text):,} characters: read_file has the rest"
        parts.append(fenced(f"{path}, as it is at the champion; you may change it{cut}", shown))
    return parts


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _mark(block: dict[str, Any], cache: str) -> None:
    """Everything up to this block is kept by the endpoint."""
    if cache != "off":
        block["cache_control"] = {"type": "ephemeral", **({"ttl": "1h"} if cache == "1h" else {})}
