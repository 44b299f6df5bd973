"""A report as one HTML file: no script, nothing from elsewhere, dark or light as the reader's screen is.

Everything that a model, a script or a person wrote goes through `text` (or `shown`, for diffs): control and
bidirectional characters made visible, then escaped. The page also forbids scripts and every outside address.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from core.reporting import drift, words
from core.reporting.gather import Kept, Report
from core.reporting.picture import Picture, caption, legend, picture
from core.reporting.plot import svg
from core.text import clean, duration, number, one_line, reveal

DIFF_LINES = 600
"""of one diff that are shown; the whole of it is in git"""
OPEN_ROWS = 30
"""a longer table is folded"""

STYLE = """\
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5b6570; --line: #d9dee3; --paper: #ffffff; --panel:
  #f5f7f9;
  --keep: #1e8449; --tried: #9aa4ae; --fail: #c0392b; --hand: #b9770e; --suspect: #8e44ad; --band: #3498db22;
  --add: #e2f5e7; --cut: #fde8e6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --soft: #9aa5b1; --line: #333b44; --paper: #14181c;
  --panel: #1c2228; --keep: #4fd28a; --tried: #66717c; --fail: #ff7b6b; --hand: #f5b041; --suspect: #c39bd3;
  --band: #5dade22e; --add: #12351f; --cut: #45191a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem 1rem 4rem; max-width: 66rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .2rem 0 .6rem; }
h2 { margin: 2.6rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line); font-size: 1.25rem; }
h3 { margin: 1.6rem 0 .2rem; font-size: 1.05rem; }
p, ul, ol { margin: .5rem 0; } .soft { color: var(--soft); } .eyebrow { color: var(--soft); margin: 0; }
.lead { font-size: 1.08rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1.2rem 0; padding: 0; }
.tiles div { flex: 1 1 auto; background: var(--panel); border-radius: .5rem; padding: .55rem .8rem; }
.tiles dt { color: var(--soft); font-size: .8rem; } .tiles dd { margin: 0; font-weight: 600; }
figure { margin: 1.2rem 0; } figcaption { color: var(--soft); font-size: .9rem; }
.wide { overflow-x: auto; } svg.progress { overflow: visible; width: 100%; min-width: 36rem; height: auto; display:
  block; }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif; } svg .name { fill: var(--keep); font-size: 11px; }
svg .grid { stroke: var(--line); fill: none; } svg .band { fill: var(--band); stroke: none; }
svg .best { stroke: var(--keep); stroke-width: 2; fill: none; }
svg .tried, .key .tried { stroke: var(--tried); stroke-width: 5; stroke-linecap: round; fill: none; }
svg .keep, .key .keep { stroke: var(--keep); stroke-width: 10; stroke-linecap: round; fill: none; }
svg .hand { stroke: var(--hand); stroke-width: 2; fill: var(--paper); }
svg .suspect { stroke: var(--suspect); stroke-width: 1.5; fill: var(--paper); }
svg .failed { stroke: var(--fail); stroke-width: 1.6; fill: none; }
svg .tried.beyond { fill: var(--tried); stroke: none; } svg .keep.beyond { fill: var(--keep); stroke: none; }
.key { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; font-size: .9rem; }
.key svg { width: 16px; height: 16px; vertical-align: -3px; margin-right: .35rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 600; white-space: nowrap; }
th, td { padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { min-width: 3.5rem; overflow-wrap: break-word; } td.text { min-width: 13rem; overflow-wrap: anywhere; }
td.figure { white-space: nowrap; }
details { margin: .5rem 0; } summary { cursor: pointer; color: var(--soft); }
pre { overflow-x: auto; background: var(--panel); border-radius: .5rem; padding: .7rem; font: .82rem/1.45
  ui-monospace, monospace;
  overflow-wrap: normal; }
pre.diff { padding: .5rem 0; } pre.diff span { display: block; padding: 0 .8rem; width: max-content; min-width:
  100%; }
.add { background: var(--add); } .cut { background: var(--cut); } .at { color: var(--soft); }
.mark { display: inline-block; border: 1px solid currentColor; border-radius: .3rem; padding: 0 .4rem; font-size:
  .85rem; }
.doubt { color: var(--fail); } .byhand { color: var(--hand); } .v-keep { color: var(--keep); font-weight: 600; }
.v-crashed, .v-void { color: var(--fail); } .v-suspect { color: var(--suspect); } blockquote { margin: .4rem 0;
  padding-left: .9rem;
  border-left: 3px solid var(--line); white-space: pre-wrap; }
@media print { details { display: block; } body { max-width: none; } }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def text(value: str) -> str:
    """Foreign text, safe in HTML, its line ends kept."""
    return html.escape(clean(value))


def line(value: str, limit: int = 300) -> str:
    """Foreign text as one safe line."""
    return html.escape(one_line(value, limit))


def page(report: Report) -> str:
    """The whole file."""
    drawn = picture(report)
    title = f"{report.name}: {words.headline(report)}"
    newline = "\n"
    sections = [
        f'<p class="eyebrow">{line(report.name)} · autoresearch-tui</p>\n<h1>{line(words.headline(report))}</h1>',
        *(f'<p class="lead">{line(said, 600)}</p>' for said in words.summary(report)),
        _tiles(words.tiles(report)),
        _figure(drawn),
        _section("Kept changes", _kept(report)),
        _section("Decisions", _decisions(report)),
        _section("Everything tried", _tried(report)),
        _section("Noise", _noise(report)),
        _section("Cost", _cost(report)),
        _section("Method", "<ol>" + "".join(f"<li>{line(said, 600)}</li>" for said in words.method(report)) + "</ol>"),
        _section("Provenance", _provenance(report)),
    ]
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{line(title)}</title>\n<style>\n{STYLE}</style>\n'
        f"</head>\n<body>\n{newline.join(sections)}\n</body>\n</html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<h2>{title}</h2>\n{body}"


def _tiles(tiles: Iterable[tuple[str, str]]) -> str:
    body = "".join(f"<div><dt>{line(what)}</dt><dd>{line(value)}</dd></div>" for what, value in tiles)
    return f'<dl class="tiles">{body}</dl>'


GLYPHS = {"keep": "M8 8h0", "tried": "M8 8h0", "hand": "M8 2l6 6-6 6-6-6z", "suspect": "M3 12h10l-5-9z",
          "failed": "M4 4l8 8m0-8l-8 8"}  # fmt: skip


def _figure(drawn: Picture) -> str:
    if not drawn.dots and not drawn.steps:
        return '<p class="soft">There is nothing to draw yet.</p>'
    key = "".join(
        f'<li><svg viewBox="0 0 16 16" aria-hidden="true"><path class="{mark}" d="{GLYPHS[mark]}"/></svg>{meaning}</li>'
        for mark, meaning in legend(drawn)
    )
    return (
        f'<figure><div class="wide">{svg(drawn)}</div><ul class="key">{key}</ul>'
        f"<figcaption>{line(caption(drawn), 400)}</figcaption></figure>"
    )


def _kept(report: Report) -> str:
    if not report.kept:
        return '<p class="soft">None yet.</p>'
    return "\n".join(_change(report, kept) for kept in report.kept)


def _change(report: Report, kept: Kept) -> str:
    e = kept.experiment
    marks = ""
    if kept.now_noise:
        marks += f' <span class="mark doubt">{words.DOUBT}</span>'
    if kept.by_hand:
        marks += ' <span class="mark byhand">kept by a human</span>'
    facts = " · ".join(line(fact) for fact in words.kept_facts(report, kept))
    body = f'<h3 id="e{e.id}">#{e.id} {line(e.title)}{marks}</h3>\n<p class="soft">{line(e.author, 60)} · {facts}</p>'
    for name, said in (("Hypothesis", e.hypothesis), ("Rationale", e.rationale)):
        if said.strip():
            body += f'\n<p class="soft">{name}</p><blockquote>{text(said.strip()[:6000])}</blockquote>'
    if e.verdict_reason:
        body += f'\n<p class="soft">Verdict: {line(e.verdict_reason, 400)}</p>'
    return body + _diff(kept)


def _diff(kept: Kept) -> str:
    if not kept.patch:
        return '\n<p class="soft">Its patch is not in the record.</p>'
    lines = kept.patch.splitlines()
    rows = "".join(f'<span class="{_kind(row)}">{html.escape(reveal(row)) or " "}</span>' for row in lines[:DIFF_LINES])
    more = f"\n<p class=soft>… {len(lines) - DIFF_LINES:,} more lines</p>" if len(lines) > DIFF_LINES else ""
    size = f"+{kept.added} −{kept.removed}"
    return f'\n<details><summary>the change, {size} lines</summary><pre class="diff">{rows}</pre>{more}</details>'


def _kind(row: str) -> str:
    if row.startswith(("@@", "diff ", "--- ", "+++ ", "index ")):
        return "at"
    return {"+": "add", "-": "cut"}.get(row[:1], "same")


def _decisions(report: Report) -> str:
    if not report.decided:
        return '<p class="soft">Nobody has decided anything yet.</p>'
    said = "".join(f"<p>{line(words.agreement(a), 600)}</p>" for a in report.agreements)
    rows = [
        (
            (_link(d.review.experiment_id, report), "figure"), (line(d.title, 90), "text"),
            (line(words.decision(d)), ""), (line(d.review.actor, 40), ""), (line(str(d.review.via)), ""),
            (line(words.why(d), 300), "text"), (duration(d.review.seconds), "figure"),
            (line(d.outcome), f"v-{line(d.outcome)}"),
        )
        for d in report.decided
    ]  # fmt: skip
    return said + _table(
        ("#", "experiment", "decision", "who", "via", "why", "time to decide", "what came of it"), rows, "decisions"
    )


def _link(number_: int, report: Report) -> str:
    kept = any(k.experiment.id == number_ for k in report.kept) if len(report.kept) < 200 else False
    return f'<a href="#e{number_}">{number_}</a>' if kept else str(number_)


def _tried(report: Report) -> str:
    if not report.tried:
        return '<p class="soft">Nothing yet.</p>'
    places = words.digits(report)
    rows = [
        (
            (str(t.experiment.id), "figure"), (line(t.experiment.title, 110), "text"),
            (line(t.experiment.author, 40), ""),
            (line(words.verdict_word(t)), f"v-{t.experiment.verdict or 'none'}"),
            (number(t.experiment.metric, places), "figure"), (words.delta_text(t, places), "figure"),
            (line(t.experiment.verdict_reason or t.experiment.problem, 240), "text"),
        )
        for t in words.shown(report.tried)
    ]  # fmt: skip
    head = ("#", "experiment", "author", "verdict", report.metric, "Δ (95 % interval)", "why")
    return _table(head, rows, "experiments")


def _noise(report: Report) -> str:
    if not report.noises:
        return '<p class="soft">Not measured yet.</p>'
    rows = [[(line(cell, 80), "figure") for cell in words.noise_row(kind, noise)] for kind, noise in report.noises]
    return _table(words.NOISE_COLUMNS, rows, "device classes") + _drift(report)


def _drift(report: Report) -> str:
    """The champion's re-runs, and what they say of the machine."""
    if report.reruns is None:
        return ""
    said = f'<p class="{"doubt" if report.reruns.drifting else "soft"}">{line(report.reruns.words, 500)}</p>'
    chart = drift.svg(report.reruns, words.digits(report))
    return f'{said}<figure><div class="wide">{chart}</div><figcaption>{line(drift.CAPTION)}</figcaption></figure>'


def _cost(report: Report) -> str:
    rows = [[(line(cell, 80), "figure") for cell in words.cost_row(model)] for model in report.cost.models]
    models = _table(words.COST_COLUMNS, rows, "models") if rows else '<p class="soft">No model was called.</p>'
    return models + _tiles(words.cost_per_keep(report.cost))


def _provenance(report: Report) -> str:
    rows = [[(line(what), "figure"), (line(value, 200), "text")] for what, value in words.provenance(report)]
    given = report.provenance.config
    return (
        _table((), rows, "facts", fold=False)
        + f"<details><summary>autoresearch.toml: what was set</summary><pre>{text(given) or 'nothing'}</pre></details>"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[tuple[str, str]]], what: str, *, fold: bool = True) -> str:
    """A table of cells that are HTML already; a long one is folded."""
    top = f"<thead><tr>{''.join(f'<th>{line(cell)}</th>' for cell in head)}</tr></thead>" if head else ""
    body = "\n".join(
        "<tr>"
        + "".join(f'<td class="{kind}">{cell}</td>' if kind else f"<td>{cell}</td>" for cell, kind in row)
        + "</tr>"
        for row in rows
    )
    table = f'<div class="wide"><table>{top}<tbody>\n{body}\n</tbody></table></div>'
    if not fold or len(rows) <= OPEN_ROWS:
        return table
    return f"<details><summary>{len(rows):,} {what}</summary>{table}</details>"
