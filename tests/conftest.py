"""For every test: the order in which they run, and property tests that try the same examples each time."""

from __future__ import annotations

import os
from itertools import groupby

import pytest
from hypothesis import HealthCheck, settings

# An example that nobody has seen before must not turn back a change that broke nothing: `make soak` looks for new ones.
# And a busy machine is no failure.
settings.register_profile("fresh", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("steady", settings.get_profile("fresh"), derandomize=True, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first in the share of each worker: none is left alone with one when the others have ended.

    Tests of one file stay together, for they share what was made for them. Each worker first gets an equal part of the
    list, the first one what stands first.
    """
    workers, left = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")), len(items)
    slow = [item for item in items if item.get_closest_marker("slow")]
    rest = [item for item in items if not item.get_closest_marker("slow")]
    files = [list(group) for _, group in groupby(slow, key=lambda item: item.path)]
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        size = left // (workers - worker)
        share = [item for file in files[worker::workers] for item in file]
        fill = max(0, size - len(share))
        ordered += [*share, *rest[:fill]]
        rest, left = rest[fill:], left - size
    items[:] = [*ordered, *rest]
