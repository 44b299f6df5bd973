"""What an engine publishes of its noise and its machine, and what status says of both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core import report
from core.engine.bench import Bench
from core.engine.engine import make_bench
from core.engine.judging import Judging
from core.engine.measuring import Measuring
from core.engine.reviewing import Reviewing
from core.models import Purpose, RunState
from core.text import number
from tests.toy import toy_lab
from tui.cli import run


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = make_bench(toy_lab(tmp_path, rerun_every=1))
    yield made
    made.store.close()


def champion_runs(bench: Bench, *metrics: float, first_seed: int = 0, kind: str = "") -> None:
    """Runs of the champion, one after the other, a minute each."""
    kind = kind or bench.devices[0].kind
    for seed, metric in enumerate(metrics, first_seed):
        run = bench.store.add_run(
            experiment_id=None, purpose=Purpose.NULL, commit_sha=bench.champion(), seed=seed, device="cpu",
            device_class=kind,
        )  # fmt: skip
        at = 1_000.0 + 100.0 * seed
        bench.store.update_run(run, state=RunState.FINISHED, metric=metric, started_at=at, ended_at=at + 60.0)


def test_a_drift_of_the_champions_re_runs_is_an_event_once_and_is_said_in_status(bench: Bench) -> None:
    measuring, kind = Measuring(bench), bench.devices[0].kind
    champion_runs(bench, 2.0, 2.001, 1.999, 2.002, 2.0, 2.001)
    measuring.publish(kind)
    drift = report.status(bench.lab, bench.store, engine=False)["drift"]
    assert drift is not None
    assert not drift["drifting"]
    assert drift["words"].startswith("the champion's re-runs agree")
    champion_runs(bench, *[2.1 + 0.001 * (n % 2) for n in range(8)], first_seed=6)
    measuring.publish(kind)
    measuring.publish(kind)
    assert [event.body["words"] for event in bench.store.events() if event.kind == "drifting"] == [
        report.status(bench.lab, bench.store, engine=False)["drift"]["words"]
    ]


def test_status_says_what_a_gain_costs_before_it_is_spent(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(bench.lab.root)
    assert run(["status", root]) == 0
    assert "from noise" not in capsys.readouterr().out  # nothing is measured yet
    champion_runs(bench, 2.0, 2.01, 1.99, 2.02, 1.98)
    Measuring(bench).publish(bench.devices[0].kind)
    assert run(["status", root]) == 0
    body = report.status(bench.lab, bench.store, engine=False)
    said = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("noise"))
    assert f"σ {number(body['plan']['sigma'], 5)} (4 df): to tell a gain of" in said
    small = report.status(bench.lab, bench.store, engine=False, gain=0.005)["plan"]
    large = report.status(bench.lab, bench.store, engine=False, gain=0.05)["plan"]
    assert small["seeds"] > 10 * large["seeds"]
    assert small["seconds"] == pytest.approx(60.0)
    assert run(["status", root, "--gain", "0.005"]) == 0
    assert "to tell a gain of 0.005 from noise takes about" in capsys.readouterr().out


def test_the_runs_that_a_new_device_class_lacks_are_asked_of_the_champion_of_now(bench: Bench) -> None:
    measuring, kind = Measuring(bench), bench.devices[0].kind
    assert measuring.missing(bench.champion(), kind, 3) == [0, 1, 2]
    champion_runs(bench, 2.0, 2.01, 1.99)
    assert measuring.missing(bench.champion(), kind, 3) == []
    assert measuring.missing(bench.champion(), "another class", 3) == [0, 1, 2]
    later = bench.workspace.commit(1, bench.champion(), {"train.py": "x = 1\n"}, message="later", at=1.0)
    bench.store.add_champion(later, experiment_id=None)
    assert measuring.missing(later, kind, 3) == []  # the first champion has measured the noise here
    assert measuring.missing(later, "another class", 3) == [0, 1, 2]


def test_the_champion_of_a_long_lab_is_still_run_again_after_an_upgrade(bench: Bench) -> None:
    judging = Judging(bench, Reviewing(bench))
    champion_runs(bench, *[2.0 + 0.001 * seed for seed in range(25)])
    champion_runs(bench, 2.0, 2.01, 1.99, kind="after")
    bench.store.db.execute(
        "INSERT INTO experiments (id, state, title, author, parent_commit, created_at, judged_at, verdict) "
        "VALUES (1, 'judged', 't', 'x', 'p', 1.0, 1e9, 'void')"
    )
    (work,) = judging.baseline_work("after")
    assert (work.purpose, work.seed) == (Purpose.NULL, 3)


def test_the_champions_metric_in_status_is_of_one_device_class(bench: Bench) -> None:
    champion_runs(bench, 2.0, 2.1)
    champion_runs(bench, 1.0, 1.1, kind="after")
    champion = bench.store.champion()
    assert champion
    assert bench.store.champion_metric(champion) == pytest.approx(1.05)
    bench.store.db.execute(
        "INSERT INTO experiments (id, state, title, author, parent_commit, created_at, judged_at, verdict, metric) "
        "VALUES (1, 'judged', 't', 'x', 'p', 1.0, 1e9, 'keep', 0.97)"
    )
    bench.store.add_champion("k" * 40, experiment_id=1)
    kept = bench.store.champion()
    assert kept
    assert bench.store.champion_metric(kept) == 0.97  # before it was ever run again
    champion_runs(bench, 0.98, 1.0, first_seed=7, kind="after")
    assert bench.store.champion_metric(kept) == pytest.approx(0.99)  # as the plot, the lineage and the report have it


def test_a_seed_that_failed_before_an_upgrade_may_be_asked_for_after_it(bench: Bench) -> None:
    champion_runs(bench, 2.0, 2.1, kind="before")
    bench.store.update_run(2, state=RunState.VOID, metric=None)
    failed = {kind: Measuring(bench).failed_seeds(bench.champion(), [], kind) for kind in ("before", "after")}
    assert [m.seed for m in failed["before"]] == [1]
    assert failed["after"] == []
