"""Where results stand in a picture of progress. Pure.

Every champion is measured on seeds of its own, and another seed alone moves a score by σ: side by side, the scores
would show luck, and a step that was kept could lead the wrong way. So a picture begins at the baseline's score, and
whatever was tried stands as far from the champion it was tried against as it was measured to be, on the same seeds
wherever that is the quieter comparison. Steps add up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from core.models import Experiment
from core.store.rows import Champion


def heights(
    champions: Sequence[Champion], known: Mapping[int, Experiment], score: Callable[[Champion], float | None]
) -> dict[str, float]:
    """Commit of each champion -> its height, in units of the metric; the baseline first.

    `score` is what a champion scores by itself: the height of the baseline, and of a step of which no difference was
    measured. A champion without either is left out.
    """
    found: dict[str, float] = {}
    for champion in champions:
        kept = known.get(champion.experiment_id or 0)
        height = height_of(None, kept.delta, found.get(kept.parent_commit)) if kept else None
        if height is None:
            height = score(champion)
        if height is not None and math.isfinite(height):
            found[champion.commit_sha] = height
    return found


def height_of(metric: float | None, delta: float | None, parent: float | None) -> float | None:
    """Where a result stands: `delta` from the height of its `parent`; by its own metric where either is unknown."""
    return metric if delta is None or parent is None else parent + delta
