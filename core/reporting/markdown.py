"""A report as Markdown: the same sentences and tables, with progress.png beside it.

Foreign text is cleaned, made one line where a line is wanted, and escaped: it can be no heading, link, image or HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from core.reporting import words
from core.reporting.gather import Kept, Report
from core.reporting.picture import caption, picture
from core.text import clean, duration, number, one_line, reveal

DIFF_LINES = 600
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~$!&@])")
_LEADING = re.compile(r"^(\s*)([-+=]|\d+[.)])", re.MULTILINE)


def text(value: str) -> str:
    """Foreign text, its line ends kept, as nothing but text."""
    return _LEADING.sub(_first, _SPECIAL.sub(r"\\\1", clean(value)))


def _first(match: re.Match[str]) -> str:
    """What would begin a list or a rule at the start of a line."""
    space, sign = match.groups()
    return f"{space}{sign[:-1]}\\{sign[-1]}"


def line(value: str, limit: int = 300) -> str:
    """Foreign text as one safe line."""
    return text(one_line(value, limit))


def document(report: Report) -> str:
    """The whole file."""
    drawn = picture(report)
    parts = [f"# {line(report.name)}: {line(words.headline(report))}"]
    parts += [line(said, 600) for said in words.summary(report)]
    parts.append(_table(("", ""), words.tiles(report)))
    parts.append(f"![{line(drawn.title)}](progress.png)\n\n{line(caption(drawn), 400)}")
    parts += ["## Kept changes", *([_change(report, kept) for kept in report.kept] or ["None yet."])]
    parts += ["## Decisions", *[line(words.agreement(a), 600) for a in report.agreements], _decisions(report)]
    parts += ["## Everything tried", _tried(report)]
    noise = [words.noise_row(kind, measured) for kind, measured in report.noises]
    parts += ["## Noise", _table(words.NOISE_COLUMNS, noise) if noise else "Not measured yet."]
    parts += [line(report.reruns.words, 500)] if report.reruns else []
    models = [words.cost_row(model) for model in report.cost.models]
    parts += ["## Cost", _table(words.COST_COLUMNS, models) if models else "No model was called."]
    parts.append(_table(("", ""), words.cost_per_keep(report.cost)))
    parts += ["## Method", "\n".join(f"{n}. {line(said, 600)}" for n, said in enumerate(words.method(report), 1))]
    parts += ["## Provenance", _table(("", ""), words.provenance(report))]
    parts.append(f"What was set in autoresearch.toml:\n\n{_fenced(clean(report.provenance.config), 'toml')}")
    return "\n\n".join(parts) + "\n"


def _change(report: Report, kept: Kept) -> str:
    e = kept.experiment
    parts = [f"### \\#{e.id} {line(e.title)}"]
    if kept.now_noise:
        parts.append(f"**{words.DOUBT}**")
    parts.append(" · ".join(line(said) for said in (e.author, *words.kept_facts(report, kept))))
    for name, said in (("Hypothesis", e.hypothesis), ("Rationale", e.rationale)):
        if said.strip():
            quoted = text(said.strip()[:6000]).replace("\n", "\n> ")
            parts.append(f"{name}:\n\n> {quoted}")
    if e.verdict_reason:
        parts.append(f"Verdict: {line(e.verdict_reason, 400)}")
    lines = kept.patch.splitlines()
    more = f"\n… {len(lines) - DIFF_LINES:,} more lines" if len(lines) > DIFF_LINES else ""
    parts.append(
        _fenced(reveal("\n".join(lines[:DIFF_LINES])) + more, "diff") if lines else "Its patch is not in the record."
    )
    return "\n\n".join(parts)


def _fenced(body: str, language: str) -> str:
    """A block of code that its content cannot end."""
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{body}\n{fence}"


def _decisions(report: Report) -> str:
    if not report.decided:
        return "Nobody has decided anything yet."
    rows = (
        (
            str(d.review.experiment_id), one_line(d.title, 90), words.decision(d), d.review.actor, str(d.review.via),
            words.why(d), duration(d.review.seconds), d.outcome,
        )
        for d in report.decided
    )  # fmt: skip
    return _table(("#", "experiment", "decision", "who", "via", "why", "time to decide", "what came of it"), rows)


def _tried(report: Report) -> str:
    if not report.tried:
        return "Nothing yet."
    places = words.digits(report)
    rows = (
        (
            str(t.experiment.id), one_line(t.experiment.title, 110), t.experiment.author, words.verdict_word(t),
            number(t.experiment.metric, places), words.delta_text(t, places),
            t.experiment.verdict_reason or t.experiment.problem,
        )
        for t in words.shown(report.tried)
    )  # fmt: skip
    return _table(("#", "experiment", "author", "verdict", report.metric, "Δ (95 % interval)", "why"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_row(head), "|" + " --- |" * len(head), *(_row(row) for row in rows)]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_SPECIAL.sub(r"\\\1", one_line(cell, 300)) for cell in cells) + " |"
