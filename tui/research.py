"""What there is to know about the researcher beside what it does right now: messages, notebook, cost, what it learned.

Read in a thread: the offline researcher's ideas are each tried on the champion's files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import ConfigError
from core.models import Event, Message, Review
from core.store.reader import Reader
from tui.detail import Sources

if TYPE_CHECKING:  # imported inside the functions that run in a thread
    from core import config
    from core.researchers.outcomes import Outcome
    from core.researchers.search import Slot

TROUBLE = ("researcher_failed", "researcher_retries", "researcher_mends", "researcher_away", "researcher_back",
           "researcher_dry")  # fmt: skip
"""entries of the journal that say how the researcher fares"""
LATEST = 12
NOTES = 100


@dataclass(frozen=True, slots=True)
class Note:
    """Something the model wrote down for itself."""

    words: str
    at: float | None
    """None where the journal no longer says when"""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What calls of a model used."""

    calls: int = 0
    input: int = 0
    """neither read from nor written to the cache"""
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cost: float | None = None
    """money; None where no call had a price"""

    @property
    def cached(self) -> float | None:
        """Share of all prompts that was read from the cache."""
        prompt = self.input + self.cache_read + self.cache_write
        return self.cache_read / prompt if prompt else None


@dataclass(frozen=True, slots=True)
class Use:
    """What is used of one cap."""

    span: str
    """`proposal`, `day`, `lab`"""
    tokens: int
    tokens_cap: int
    """0: no cap"""
    money: float
    money_cap: float


@dataclass(frozen=True, slots=True)
class Spending:
    """Tokens and money."""

    today: Tokens
    lab: Tokens
    uses: tuple[Use, ...]
    cost_per_experiment: float | None
    cost_per_keep: float | None
    kept: int
    tried: int


@dataclass(frozen=True, slots=True)
class Learned:
    """What the offline researcher searches, and what it knows."""

    ideas: int
    """pages of its notebook"""
    next: tuple[str, ...]
    """titles of the pages that apply to the champion and had no turn yet"""
    passed_over: tuple[tuple[str, str], ...]
    """pages that do not apply now, each with the reason"""
    open: tuple[Slot, ...]
    """constants that are still searched"""
    closed: tuple[str, ...]
    """names of those that were missed too often or cannot move now"""
    outcomes: tuple[Outcome, ...]
    """what was measured of a change of constants, best first"""


@dataclass(frozen=True, slots=True)
class Research:
    """Everything the Researcher screen reads."""

    messages: tuple[Message, ...] = ()
    """newest first"""
    notes: tuple[Note, ...] = ()
    """newest first"""
    journal: tuple[Event, ...] = ()
    """newest first"""
    settings: config.Researcher | None = None
    problem: str = ""
    """why the configuration cannot be read"""
    spending: Spending | None = None


def research(reader: Reader, config_file: Path, *, now: float, since: float | None) -> Research:
    """Read it all; `since`: when the question that is being answered was put.

    Raises:
        StoreError: the record cannot be read.
    """
    from core.config import load

    settings, problem = None, ""
    try:
        settings = load(config_file).researcher
    except ConfigError as error:
        problem = error.message
    remembered = reader.newest_events(("remembered",), NOTES)
    at = {str(event.body.get("note")): event.at for event in reversed(remembered)}
    notes = reader.setting("notebook", [])
    written = [str(note) for note in notes] if isinstance(notes, list) else []
    return Research(
        tuple(reversed(reader.messages())),
        tuple(Note(words, at.get(words)) for words in reversed(written)),
        tuple(reader.newest_events(TROUBLE, LATEST)),
        settings,
        problem,
        _spending(reader, settings, now, since),
    )


def _spending(reader: Reader, settings: config.Researcher | None, now: float, since: float | None) -> Spending:
    from core.config import Caps
    from core.report import usage
    from core.researchers.claude.budget import midnight

    caps = settings.caps if settings else Caps()
    today, used = midnight(now).timestamp(), usage(reader)

    def use(span: str, begun: float | None, tokens: int, money: float) -> Use:
        spent = reader.spent(since=begun) if begun is not None else (0, 0.0)
        return Use(span, spent[0], tokens, spent[1], money)

    return Spending(
        _tokens(reader.usage_by_model(since=today)),
        _tokens(reader.usage_by_model()),
        (
            use("proposal", since, caps.tokens_per_proposal, caps.money_per_proposal),
            use("day", today, caps.tokens_per_day, caps.money_per_day),
            use("lab", 0.0, caps.tokens_per_lab, caps.money_per_lab),
        ),
        used["cost_per_experiment"],
        used["cost_per_keep"],
        reader.cost_per_keep()[0],
        sum(reader.verdict_counts().values()),
    )


def _tokens(models: list[tuple[Any, ...]]) -> Tokens:
    """All models together."""
    costs = [row[7] for row in models if row[7] is not None]
    calls, new, written, read, kept = (sum(int(row[at]) for row in models) for at in range(1, 6))
    return Tokens(calls, new, written, read, kept, sum(costs) if costs else None)


def learned(reader: Reader, sources: Sources, commit: str, direction: str) -> Learned:
    """What the offline researcher would find if it were asked now.

    Raises:
        StoreError, LabError: the record, the configuration or the repository cannot be read.
    """
    from core.researchers.constants import find_constants
    from core.researchers.notebook import Skipped, notebook, pages
    from core.researchers.outcomes import Fate, outcomes
    from core.researchers.search import open_slots

    files = sources.files(commit, sources.editable)
    history = reader.keyed()
    reviews: dict[int, list[Review]] = {}
    for review in reader.reviews():
        reviews.setdefault(review.experiment_id, []).append(review)
    ideas = notebook()
    left = list(pages(ideas, files, history, commit))
    slots, closed, found = [], [], []
    for path, content in sorted(files.items()):
        constants = find_constants({path: content})
        past = outcomes(history, reviews, direction, path)
        free = open_slots(constants, past)
        slots += free
        closed += [constant.name for constant in constants if constant.name not in {slot.name for slot in free}]
        found += [outcome for outcome in past if outcome.fate is Fate.SCORED and outcome.alone]
    return Learned(
        len(ideas),
        tuple(page.idea.title for page in left if not isinstance(page, Skipped)),
        tuple((page.idea.title, page.reason) for page in left if isinstance(page, Skipped)),
        tuple(slots),
        tuple(closed),
        tuple(sorted(found, key=lambda outcome: outcome.effect)),
    )
