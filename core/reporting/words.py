"""The sentences of a report, as plain text: the same ones in HTML, in Markdown and on the command line. Pure.

Whatever a model or a script wrote is shown raw here; the renderers clean and escape it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from core.models import Decision, Verdict
from core.reporting.claims import Agreement
from core.reporting.gather import Cost, Decided, Kept, Model, Report, Tried, verdict_counts
from core.text import UNKNOWN, duration, number, signed
from core.verdict import Noise, gain_text, runs_needed

EFFORT = 1_000_000_000
"""more runs than this is the same as never"""


def digits(report: Report) -> int:
    """Decimals of a metric: two more than the noise needs, four where it is not known."""
    sigma = report.noise.sigma
    return min(8, max(4, 1 - math.floor(math.log10(sigma)))) if sigma > 0 else 4


def headline(report: Report) -> str:
    """One line: from what to what, and how sure."""
    c, places = report.claim, digits(report)
    if c.baseline is None:
        return "Nothing has been measured yet"
    if c.delta is None:
        return (
            f"{report.metric} {number(c.baseline, places)}: {'no gain is measured' if c.keeps else 'no change is kept'}"
        )
    if c.champion is None:
        return f"{report.metric} {number(c.baseline, places)}, {signed(c.delta, places)} without what was kept by hand"
    return f"{report.metric} {number(c.baseline, places)} → {number(c.champion, places)}"


def summary(report: Report) -> list[str]:
    """The claim in honest words: how it was measured, how sure it is, what it rests on and what it leaves out."""
    c = report.claim
    judged = sum(verdict_counts(report).values())
    said = []
    if c.baseline is None:
        said.append(f"No run of the unchanged code has finished. {plural(len(report.tried), 'experiment')} so far.")
        return [*said, *_left_out(report)]
    if c.delta is None:
        said.append(
            f"The unchanged code scores {number(c.baseline, digits(report))} ({plural(c.n_baseline, 'run')}). "
            f"{plural(judged, 'experiment')} judged, {c.keeps or 'none'} kept."
        )
        return [*said, *_left_out(report)]
    runs = f"{plural(c.n_champion, 'run')} of the champion, {c.n_baseline} of the baseline"
    said.append(
        f"{gain_text(c.delta, c.low, c.high, c.n_champion)}: measured on {runs}, "
        + (
            "none of which chose it."
            if c.direct
            else "but the champion's are the ones it was kept by, so this is a little too good."
        )
    )
    if c.low is not None and c.high is not None and c.low <= 0 <= c.high:
        said.append("The interval contains zero: this lab has not shown a gain.")
    said.append(f"{plural(judged, 'experiment')} judged, {c.keeps} kept ({_share(c.keeps, judged)}).")
    doubtful = sum(k.now_noise is True for k in report.kept)
    if doubtful:
        said.append(f"By today's noise {plural(doubtful, 'kept change')} would not be kept again; they are marked.")
    return [*said, *_left_out(report)]


def _left_out(report: Report) -> list[str]:
    said = []
    c = report.claim
    if c.replaced:
        words = f"A human replaced {plural(c.replaced, 'verdict')}"
        words += f", {c.by_hand} of them to keep" if c.by_hand else ""
        said.append(f"{words}: left out of these figures.")
    others = [kind for kind, _ in report.noises if kind != report.kind]
    if report.kind and others:
        said.append(f"All of this is about {report.kind}; results compare only within one device class.")
    return said


def tiles(report: Report) -> list[tuple[str, str]]:
    """The figures at the top, as (what, how much)."""
    c = report.claim
    judged = sum(verdict_counts(report).values())
    hours = sum(h.hours for h in report.hours)
    return [
        ("experiments", f"{len(report.tried):,}"),
        ("judged", f"{judged:,}"),
        ("kept", f"{c.keeps:,} ({_share(c.keeps, judged)})"),
        ("runs", f"{sum(h.runs for h in report.hours):,}"),
        ("device hours", number(hours, 1) if report.hours else UNKNOWN),
        ("device class", report.kind or UNKNOWN),
        ("model cost", money(report.cost.cost)),
    ]


def kept_facts(report: Report, kept: Kept) -> list[str]:
    """What is known of one step."""
    e, places = kept.experiment, digits(report)
    facts = []
    if e.delta is not None and not kept.by_hand:
        facts.append(gain_text(e.delta, e.delta_low, e.delta_high, e.confirmations or 0))
        facts.append(f"shrunken estimate {signed(e.shrunken, places)}")
    if kept.by_hand:
        facts.append("kept by a human, in no claim of this report")
    facts.append(f"+{kept.added} −{kept.removed} lines")
    facts.append(f"{when(kept.at)}")
    return facts


DOUBT = "by today's noise this would not be kept"


def decision(decided: Decided) -> str:
    """The decision as a word."""
    if decided.review.in_part:
        return "approved in part"
    return {
        Decision.APPROVE: "approved", Decision.APPROVE_EDITED: "approved edited",
        Decision.REVISE: "sent back", Decision.VETO: "vetoed",
        Decision.OVERRIDE: f"settled by hand: {decided.review.verdict}",
    }[decided.review.decision]  # fmt: skip


def why(decided: Decided) -> str:
    """The reason; for the dial, the rule that let it through."""
    review = decided.review
    return " · ".join(dict.fromkeys(part for part in (review.policy, review.reason) if part))


def agreement(a: Agreement) -> str:
    """How often an approval was kept, and what else they did."""
    return f"{'The autonomy dial' if a.by_policy else 'People'} {deeds(a)}"


def deeds(a: Agreement) -> str:
    """The same without the subject."""
    patches = plural(a.approvals, "patch", "patches")
    words = f"let {patches} through" if a.by_policy else f"approved {patches}"
    words += f" ({a.edited} edited)" if a.edited else ""
    if a.judged:
        words += f"; of {a.judged} judged {a.kept} {'was' if a.kept == 1 else 'were'} kept ({_share(a.kept, a.judged)})"
        rest = ", ".join(f"{n} {v}" for v, n in a.verdicts.most_common() if v is not Verdict.KEEP)
        words += f", {rest}" if rest else ""
    did = [
        f"vetoed {a.vetoes}" if a.vetoes else "",
        f"sent {a.sent_back} back" if a.sent_back else "",
        f"took {a.taken_back} back" if a.taken_back else "",
    ]
    if any(did):
        words += f"; {', '.join(filter(None, did))}"
    if a.seconds is not None:
        words += f"; half of the decisions took less than {duration(a.seconds)}"
    return words + "."


def verdict_word(tried: Tried) -> str:
    e = tried.experiment
    word = str(e.verdict or e.state)
    return f"{word} (by hand)" if tried.by_hand else word


def delta_text(tried: Tried, places: int) -> str:
    """Δ with its interval, short enough for a table."""
    e = tried.experiment
    if e.delta is None:
        return UNKNOWN
    if e.delta_low is None or e.delta_high is None:
        return f"{signed(e.delta, places)} (noise not measured)"
    return f"{signed(e.delta, places)} ({signed(e.delta_low, places)} to {signed(e.delta_high, places)})"


NOISE_COLUMNS = ("device class", "σ of one run", "95 % interval of σ", "df", "σ of a same-seed difference", "to see 1σ")


def noise_row(kind: str, noise: Noise) -> list[str]:
    """One device class: σ, its interval, degrees of freedom, and what it costs to see a gain as large as σ."""
    if not noise.df:
        return [kind, "not measured", UNKNOWN, "0", UNKNOWN, UNKNOWN]
    places = min(8, max(4, 1 - math.floor(math.log10(noise.sigma)))) if noise.sigma > 0 else 4
    runs = runs_needed(noise.sigma, noise.sigma) if noise.sigma > 0 else None
    paired = UNKNOWN if noise.paired_sigma is None else f"{number(noise.paired_sigma, places)} ({noise.paired_df} df)"
    return [
        kind, number(noise.sigma, places), f"{number(noise.low, places)} to {number(noise.high, places)}",
        str(noise.df), paired, UNKNOWN if runs is None else f"{runs} runs of each",
    ]  # fmt: skip


COST_COLUMNS = ("model", "calls", "input", "output", "cache read", "cache written", "time", "cost")


def cost_row(model: Model) -> list[str]:
    partly = f" ({model.unpriced} calls without a price)" if model.unpriced and model.cost is not None else ""
    return [
        model.name, f"{model.calls:,}", f"{model.input:,}", f"{model.output:,}", f"{model.cache_read:,}",
        f"{model.cache_write:,}", duration(model.seconds), money(model.cost) + partly,
    ]  # fmt: skip


def cost_per_keep(cost: Cost) -> list[tuple[str, str]]:
    """What one kept change took; `–` where it is not known."""

    def each(total: float | None, places: int = 2) -> str:
        return number(total / cost.kept if total is not None and cost.kept else None, places)

    return [
        ("kept (by hand included)", f"{cost.kept:,}"),
        ("model cost", money(cost.cost)),
        ("model cost per keep", money(cost.cost / cost.kept if cost.cost is not None and cost.kept else None)),
        ("tokens", UNKNOWN if cost.tokens is None else f"{cost.tokens:,}"),
        ("tokens per keep", each(cost.tokens, 0)),
        ("device hours", number(cost.device_hours, 2)),
        ("device hours per keep", each(cost.device_hours)),
    ]


def method(report: Report) -> list[str]:
    """How a result comes about, in ten lines."""
    judging, target = report.config.judging, report.config.target
    lower = "lower" if report.direction == "min" else "higher"
    evaluator = (
        "measured by a fresh process with frozen code from the checkpoint, never by the script under research"
        if target.evaluate
        else "read from the output of the training script"
    )
    return [
        f"A researcher proposes one patch at a time to {', '.join(target.editable)}, for a {lower} {report.metric}.",
        "Each patch is let through by a person or by the autonomy dial; a decision is bound to the exact patch.",
        "Every approved patch trains on a commit of its own for the same budget as the champion.",
        f"{report.metric} is {evaluator}.",
        f"The unchanged code ran on {plural(judging.null_runs, 'seed')} first: that is the noise, σ, with its degrees "
        "of freedom; later repeats are pooled in.",
        "A patch is screened with one run. Not better than the champion: discarded. That score is in no estimate.",
        f"Better: confirmed on fresh seeds, two to {judging.max_confirmations} of them, same-seed pairs where they are "
        "quieter.",
        f"Kept when the confirmed gain exceeds z·σ·√(1/n + 1/n champion), z = {judging.z:g}, read as an error rate "
        "with Student's t; its own spread is held against it too.",
        *_hidden(report),
        "A champion is not measured on the seeds it was chosen by. Results compare only where device, driver, "
        "evaluator, data and versions are the same.",
        "Δ is candidate minus champion with its 95 % interval; the shrunken estimate draws it to zero by its noise.",
    ]


def _hidden(report: Report) -> list[str]:
    """What must still be passed by what the runs would keep."""
    if not report.config.target.has_hidden_split:
        return ["Better by more than 5 % or 8σ is suspect, not kept."]
    return [
        "Before it is kept its checkpoints are scored on a hidden split, chunk by chunk: a gain that is not there, "
        "beyond chance, is suspect; one of more than 5 % or 8σ is suspect until it is found there."
    ]


def provenance(report: Report) -> list[tuple[str, str]]:
    """Where the record comes from."""
    p = report.provenance
    return [
        ("lab", report.name),
        ("recorded", f"{when(p.first)} to {when(p.last)}"),
        ("this report", f"{when(p.made)}, autoresearch-tui {p.written_by}"),
        ("engine", p.recorded_by or UNKNOWN),
        ("schema of lab.db", str(p.schema)),
        ("profile", p.profile or UNKNOWN),
        ("corpus", p.corpus or UNKNOWN),
        ("hash of the prepared data", p.corpus_hash or UNKNOWN),
        ("sandbox", p.sandbox or UNKNOWN),
        ("measured with", p.manifest or UNKNOWN),
        ("baseline commit", report.champions[0].commit_sha if report.champions else UNKNOWN),
        ("champion commit", report.champions[-1].commit_sha if report.champions else UNKNOWN),
        ("runs", "; ".join(f"{h.kind}: {h.runs} runs, {number(h.hours, 2)} h" for h in report.hours) or UNKNOWN),
    ]


def money(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.2f}"


def when(at: float | None) -> str:
    """A time as everybody reads it, in UTC."""
    return UNKNOWN if at is None else time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


def plural(count: int, word: str, many: str = "") -> str:
    return f"{count:,} {word if count == 1 else many or word + 's'}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else UNKNOWN


def shown(rows: Sequence[Tried]) -> list[Tried]:
    """Everything tried, in order."""
    return sorted(rows, key=lambda t: t.experiment.id)
