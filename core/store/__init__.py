"""lab.db: the only place with SQL. `Reader` is what every screen and command uses; `Writer` belongs to the engine.

The data model in ten lines. An `experiments` row is one idea. Its patch is content-addressed: `patches` holds
bodies by sha256, `patch_versions` says which versions an experiment has had, `experiments.patch_sha256` names
the current one. A `reviews` row binds a decision to one version. `runs` are training executions of a commit
(of an experiment, or of the champion itself, where experiment_id is NULL); `points` are their curves.
`champions` is the lineage of kept commits, the last row is the champion. `settings` holds what the engine is
doing now (autonomy, paused, researcher, preparation). `telemetry` is the device gauges, `messages` the
human's words to the researcher, `usage` what the model cost. Every change is one transaction that also
appends to `events`, which nothing can update or delete.
"""

from typing import TYPE_CHECKING, Any

from core.store.reader import Reader
from core.store.rows import Summary

if TYPE_CHECKING:
    from core.store.writer import Writer

__all__ = ["Reader", "Summary", "Writer"]


def __getattr__(name: str) -> Any:
    """The writer when it is asked for: a screen never does."""
    if name == "Writer":
        from core.store.writer import Writer

        return Writer
    raise AttributeError(name)
