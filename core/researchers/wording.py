"""The texts of the offline researcher's proposals: what it knows, and no more. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.researchers.constants import Constant, written
from core.researchers.notebook import Idea
from core.researchers.outcomes import Fate, Outcome
from core.researchers.search import Suggestion

OUTCOMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Words:
    """Title, hypothesis, rationale and expectation of a proposal."""

    title: str
    hypothesis: str
    rationale: str
    expected: str


def notebook_rationale(idea: Idea) -> str:
    """What is known about an idea, how it scales, and where it comes from."""
    return (
        f"{idea.known}\n\nWith depth: {idea.scaling}\n\n"
        "From the offline notebook, which was written beforehand: nothing here answers to results of this lab."
    )


def constants_words(suggestion: Suggestion, metric: str, direction: str, sigma: float | None) -> Words:
    """The texts of a change of constants."""
    moves = [f"{constant.name} {constant.text} → {written(constant, to)}" for constant, to in suggestion.values.items()]
    sign = 1.0 if direction == "min" else -1.0
    facts = [_fact(constant, suggestion.past, sign) for constant in suggestion.values]
    (constant, value), *_ = suggestion.values.items()
    up = "up" if value > constant.value else "down"
    noise = f"; less than about {2 * sigma:.2g} cannot be told from noise" if sigma else ""
    told = f"{suggestion.told} outcome{'' if suggestion.told == 1 else 's'}"
    match suggestion.how:
        case "probe":
            hypothesis = f"{constant.name} is not yet at its best: a moderate step {up} shows whether it matters here."
            why = "Nobody has moved this constant yet. It is a first probe; only the seed chose its side."
            expected = f"unknown: a first probe{noise}"
        case "sampler":
            hypothesis = f"From what was tried, a better {constant.name} lies near {written(constant, value)}."
            why = f"Optuna's TPE sampler chose the constant and the value, told {told} of this search."
            expected = f"small{noise}"
        case "sweep":
            hypothesis = f"{constant.name} is better at {written(constant, value)}, which nobody has tried."
            why = (
                f"The sampler, told {told}, named nothing new: this is the next untried step away from where it stands."
            )
            expected = f"small{noise}"
        case "pair":
            gain = sign * sum(_best_effect(constant, to, suggestion.past) for constant, to in suggestion.values.items())
            hypothesis = (
                "Each of the two changes alone looked better, but too little to be kept: together they may show."
            )
            why = "If it is kept, the gain cannot be put down to one of them; if not, both were probably noise."
            expected = f"{metric} {gain:+.4f} if both were real and add up{noise}"
    return Words(", ".join(moves), hypothesis, " ".join([why, *facts]), expected)


def _fact(constant: Constant, past: Sequence[Outcome], sign: float) -> str:
    """What the file and the earlier outcomes say of a constant."""
    mine = [outcome for outcome in past if outcome.name == constant.name and outcome.fate is not Fate.UNKNOWN]
    said = f"The file says of {constant.name}: “{constant.comment}”. " if constant.comment else ""
    if not mine:
        return f"{said}It stands at {constant.text}.".strip()
    shown = [_outcome(constant, outcome, sign) for outcome in mine[-OUTCOMES_SHOWN:]]
    more = f" (and {len(mine) - len(shown)} earlier)" if len(mine) > len(shown) else ""
    return f"{said}It stands at {constant.text}; tried{more}: {'; '.join(shown)}."


def _outcome(constant: Constant, outcome: Outcome, sign: float) -> str:
    step = written(constant, outcome.after)
    step += "" if outcome.before == constant.value else f" (from {written(constant, outcome.before)})"
    match outcome.fate:
        case Fate.SCORED:
            end = f"gave {sign * outcome.effect:+.4f}, {'kept' if outcome.kept else 'not kept'}"
            end += "" if outcome.alone else " (its half of a pair)"
        case Fate.FAILED:
            end = "crashed or diverged"
        case Fate.VETOED:
            end = "was vetoed, so that side is left alone"
        case _:
            end = "is still open"
    return f"{step} {end} (#{outcome.experiment})"


def _best_effect(constant: Constant, to: float, past: Sequence[Outcome]) -> float:
    effects = [o.effect for o in past if o.name == constant.name and o.after == to and o.fate is Fate.SCORED]
    return min(effects, default=0.0)
