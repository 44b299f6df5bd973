"""The way to a lab: what is read when, what is posted, what is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.message import Message

from core.models import Decision, State, Verdict
from core.requests import NoEngine, Pause
from core.store.reader import Reader
from tests.sample_lab import SampleLab, big, build
from tests.tui.cockpit import FakeEngine, Files
from tui import client as client_module
from tui.client import Client, LabChanged
from tui.desk import Desk
from tui.detail import LabSources, blocked, left_over, load
from tui.snapshot import EngineNote, ResearcherNote, Snapshot, note


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[SampleLab]:
    made = build(tmp_path / "lab")
    yield made
    made.close()


def looking(lab: SampleLab) -> tuple[Client, list[Snapshot]]:
    posted: list[Snapshot] = []

    def post(message: Message) -> None:
        assert isinstance(message, LabChanged)
        posted.append(message.snapshot)

    return Client(lab.lab, post), posted


def test_nothing_is_posted_when_nothing_was_committed(lab: SampleLab) -> None:
    client, posted = looking(lab)
    for _ in range(5):
        client.look()
    assert len(posted) == 1


def test_an_event_is_seen_at_once_and_only_what_it_names_is_read_again(lab: SampleLab) -> None:
    client, posted = looking(lab)
    client.look()
    before = posted[-1]
    lab.decides(6, Decision.VETO, reason="no")
    client.look()
    after = posted[-1]
    assert [summary.id for summary in after.queue] == [7, 8]
    assert after.by_id[6].state is State.VETOED
    assert after.by_id[1] is before.by_id[1]
    assert set(after.touched) == {6}
    assert [summary.id for summary in after.history] == [8, 7, 6, 5, 4, 3, 2, 1]


def test_the_live_runs_are_found_by_their_index_however_many_have_ended(lab: SampleLab) -> None:
    reader = Reader(lab.lab.database)
    asked: list[str] = []
    reader.db.set_trace_callback(asked.append)
    assert reader.live_runs()
    reader.db.set_trace_callback(None)
    (plan,) = reader.db.execute(f"EXPLAIN QUERY PLAN {asked[0]}").fetchall()[:1]
    assert "runs_live" in plan[-1]
    reader.close()


def test_progress_is_looked_at_only_twice_a_second(lab: SampleLab, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    client, posted = looking(lab)
    client.look()
    run = posted[-1].run
    assert run is not None
    for step in range(8):
        lab.writer.update_run(run.id, progress=0.6 + step / 100)
        moment[0] += 0.125
        client.look()
    assert len(posted) - 1 == 2


def test_a_new_proposal_joins_the_history_at_its_top(lab: SampleLab) -> None:
    client, posted = looking(lab)
    client.look()
    new = lab.proposes("A ninth")
    client.look()
    assert posted[-1].history[0].id == new


async def test_a_long_history_arrives_in_two_pieces(tmp_path: Path) -> None:
    lab = big(tmp_path / "lab", 300)
    client, posted = looking(lab)
    client.look()
    assert len(posted[-1].history) == client_module.FIRST_SUMMARIES
    await client._read_the_rest()
    assert [summary.id for summary in posted[-1].history] == list(range(304, 0, -1))
    lab.close()


def test_the_champion_and_its_curve_are_those_of_the_same_seed(lab: SampleLab) -> None:
    client, posted = looking(lab)
    client.look()
    assert posted[-1].champion_metric == pytest.approx(1.842)  # over its own runs, not what it was kept for
    behind = client.champion_run(seed=2)
    assert behind is not None
    assert behind.seed == 2


def test_a_curve_grows_by_what_is_new(lab: SampleLab) -> None:
    client, posted = looking(lab)
    client.look()
    run = posted[-1].run
    assert run is not None
    before = client.curve(run.id, "loss")
    lab.writer.add_points(run.id, [("loss", 500, 20.0, 2.5), ("loss", 501, 20.1, float("nan"))])
    after = client.curve(run.id, "loss")
    assert after.step == (*before.step, 500, 501)
    assert after.value[-1] != after.value[-1]  # not a number stays a gap


async def test_a_request_is_in_the_next_snapshot_when_it_is_answered(lab: SampleLab) -> None:
    client, posted = looking(lab)
    client.look()
    engine = FakeEngine(lab)
    await engine.start()
    try:
        await client.ask(Pause("tea"))
        assert posted[-1].paused == "tea"
        assert posted[-1].alive is True
    finally:
        await engine.stop()


async def test_no_engine_is_said_by_the_request_and_by_the_snapshot(lab: SampleLab) -> None:
    client, posted = looking(lab)
    client.look()
    with pytest.raises(NoEngine):
        await client.ask(Pause())
    assert posted[-1].alive is False


async def test_the_client_follows_until_it_is_cancelled(lab: SampleLab) -> None:
    client, posted = looking(lab)
    task = asyncio.create_task(client.run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert posted


@pytest.mark.parametrize("value", [None, 3, "x", [], {"pid": "no", "state": 7, "since": None}])
def test_a_setting_of_another_shape_does_not_end_the_screen(value: object) -> None:
    assert note(EngineNote, value) == EngineNote()
    assert note(ResearcherNote, value) == ResearcherNote()


def test_a_waiting_message_is_replaced_by_a_newer_one() -> None:
    assert LabChanged(Snapshot()).can_replace(LabChanged(Snapshot()))


# ---- one experiment ------------------------------------------------------------------------------------------------


def test_the_lab_s_own_repository_gives_the_parent_s_files(lab: SampleLab) -> None:
    sources = LabSources(lab.lab.repo, lab.lab.config_file, lab="lab")
    assert sources.editable == ("train.py",)
    assert sources.files(lab.commit, ["train.py", "none.py"]) == lab.files


def test_a_detail_holds_all_about_an_experiment(lab: SampleLab) -> None:
    detail = load(Reader(lab.lab.database), 6, Files(), lab.log)
    assert detail is not None
    assert detail.hunks == 3
    assert detail.problem == ""
    assert left_over(detail, {0, 1, 2}) == ""
    assert left_over(detail, set()) == "nothing is left of the patch"
    assert blocked(detail, lab.commit) == ""


def test_an_experiment_that_does_not_exist_has_no_detail(lab: SampleLab) -> None:
    assert load(Reader(lab.lab.database), 99, Files(), lab.log) is None


def test_a_remark_of_the_engine_blocks_only_what_does_not_fit_the_champion(lab: SampleLab) -> None:
    number = lab.proposes("Carried over", problem="carried over to the new champion by likeness: read it again")
    detail = load(Reader(lab.lab.database), number, Files(), lab.log)
    assert detail is not None
    assert blocked(detail, lab.commit) == ""
    assert blocked(detail, "f" * 40) != ""


# ---- the desk ------------------------------------------------------------------------------------------------------


def test_the_queue_comes_first_then_what_runs_then_the_newest(lab: SampleLab) -> None:
    client, posted = looking(lab)
    client.look()
    desk = Desk(lambda: 0.0)
    assert desk.follow(posted[-1])
    assert desk.shown == 6
    for number in (6, 7, 8):
        lab.decides(number, Decision.VETO, reason="no")
    client.look()
    assert desk.follow(posted[-1])
    assert desk.shown == 5
    run = posted[-1].run
    assert run is not None
    lab.ends(run.id, metric=1.84)
    lab.judges(5, Verdict.DISCARD, delta=0.001)
    client.look()
    assert not desk.follow(posted[-1])


def test_reading_time_is_added_up_over_visits() -> None:
    moment = [0.0]
    desk = Desk(lambda: moment[0])
    desk.open(1)
    moment[0] = 10.0
    desk.open(2)
    moment[0] = 13.0
    desk.open(1)
    moment[0] = 15.0
    assert desk.seconds == 12.0


async def test_what_is_asked_carries_the_name_of_who_asks(lab: SampleLab) -> None:
    engine = FakeEngine(lab)
    await engine.start()
    client = Client(lab.lab, lambda message: None, actor="anna")
    await client.ask(Pause())
    assert [getattr(request, "actor", "") for request in engine.asked] == ["anna"]
    await engine.stop()
