"""The champion's re-runs over time: drawn, tested for a drift, and said in words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.models import Purpose, Run, RunState
from core.reporting.drift import reruns, svg
from core.store.rows import Champion
from core.verdict import Noise
from tests.unit.report_lab import record

NOISE = Noise(0.01, 20)


def run(at: float, metric: float, *, commit: str = "a", experiment: int | None = None, kind: str = "gpu") -> Run:
    return Run(
        int(at), experiment, Purpose.NULL, commit, int(at), 1, "cuda:0", kind, RunState.FINISHED, "done", 1.0, metric,
        "", None, None, "", at - 60.0, at - 60.0, at,
    )  # fmt: skip


LINEAGE = [Champion(1, "a", None, 0.0), Champion(2, "b", 7, 500.0)]


def test_re_runs_that_agree_are_said_to() -> None:
    found = reruns([run(100.0 * n, 2.0 + 0.001 * (n % 2)) for n in range(1, 7)], LINEAGE, NOISE, "gpu")
    assert found is not None
    assert not found.drifting
    assert found.words.startswith("the champion's re-runs agree: the later half scores ")
    assert "6 runs" in found.words


def test_a_drift_is_said_with_what_follows_from_it() -> None:
    jump = [run(100.0 * n, 2.0 + 0.05 * (n > 6) + 0.001 * (n % 2)) for n in range(1, 13)]
    found = reruns(jump, LINEAGE, NOISE, "gpu")
    assert found is not None
    assert found.drifting
    assert re.search(r"drift: the later half scores \+0\.050 \(99.7 % \+0\.0\d+ to \+0\.\d+, 12 runs\)", found.words)
    assert "audit LAB" in found.words


def test_a_change_of_champion_is_no_drift_and_other_runs_are_not_in_it() -> None:
    runs = [run(1, 2.0), run(2, 2.01), run(600, 1.5, commit="b"), run(700, 1.51, commit="b")]
    others = [run(3, 9.0, experiment=4), run(4, 9.0, kind="cpu"), run(5, 9.0, commit="elsewhere")]
    found = reruns([*runs, *others], LINEAGE, NOISE, "gpu")
    assert found is not None
    assert not found.drifting
    assert [[round(p.offset, 3) for p in commit] for commit in found.commits] == [[-0.005, 0.005], [-0.005, 0.005]]


def test_few_re_runs_are_said_to_be_few_and_the_champion_before_that_had_enough_is_asked() -> None:
    jump = [run(100.0 * n, 2.0 + 0.05 * (n > 6) + 0.001 * (n % 2)) for n in range(1, 13)]
    later = [run(2000.0 + n, 1.9 + 0.001 * n, commit="b") for n in range(3)]
    found = reruns([*jump, *later], LINEAGE, NOISE, "gpu")
    assert found is not None
    assert found.drifting
    few = reruns(later, LINEAGE, NOISE, "gpu")
    assert few is not None
    assert not few.drifting
    assert few.words.endswith("to tell a drift from noise: 3, 6 are needed")


def test_nothing_is_drawn_before_a_champion_ran_twice() -> None:
    assert reruns([run(1, 2.0)], LINEAGE, NOISE, "gpu") is None


@pytest.mark.parametrize("noise", [NOISE, Noise()])
def test_the_chart_has_a_dot_a_run_inside_its_frame(noise: Noise) -> None:
    found = reruns([run(100.0 * n, 2.0 + 0.01 * n) for n in range(1, 5)], LINEAGE, noise, "gpu")
    assert found is not None
    drawn = svg(found, 4)
    dots = re.search(r'class="keep" d="([^"]+)"', drawn)
    assert dots is not None
    places = re.findall(r"M([\d.]+) ([\d.]+)h0", dots[1])
    assert len(places) == 4
    assert all(0 <= float(x) <= 960 and 0 <= float(y) <= 200 for x, y in places)
    assert ("band" in drawn) == bool(noise.df)


def test_a_report_shows_the_re_runs_in_both_forms(tmp_path: Path) -> None:
    from core.reporting import write

    written = write(record(tmp_path / "lab", 12), tmp_path / "out")
    assert "re-runs of the champion" in written.html.read_text()
    assert "the champion's re-runs" in written.html.read_text().replace("&#x27;", "'")
    assert "the champion's re-runs" in written.markdown.read_text()
