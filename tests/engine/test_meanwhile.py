"""What a person decides, and what the champion becomes, while a researcher thinks or a run is evaluated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core import patches, verify
from core.engine.engine import Engine
from core.errors import ResearcherError
from core.models import Autonomy, Decision, Experiment, Proposal, State, Verdict
from core.requests import Approve, Override, Revise, Undo, Veto
from core.researchers.base import Say, Situation
from core.store import Reader
from tests.engine.test_overlap import GATED, gated_lab, hold
from tests.toy import TRAIN, ScriptedResearcher, engine_at_work, toy_lab, until

WORSE = ("LEVEL = 2.0", "LEVEL = 2.5")
BLOCK = "def alpha(x):\n    return x + 1\n\n\ndef beta(y):\n    zeta = 0.5 * 3\n    return zeta * y\n\n\n"
"""lines of which one patch takes away what another changes"""


@dataclass
class Slow(ScriptedResearcher):
    """Answers a note only when it is let to."""

    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    refuses: bool = False

    async def propose(self, situation: Situation, say: Say) -> Proposal | None:
        if situation.revision is not None:
            self.asked.append(situation)
            await self.may_answer.wait()
            if self.refuses:
                raise ResearcherError("this note cannot be followed")
        return await super().propose(situation, say)


def the(store: Reader, number: int) -> Experiment:
    found = store.experiment(number)
    assert found is not None
    return found


def sha(store: Reader, number: int) -> str:
    return the(store, number).patch_sha256 or ""


@asynccontextmanager
async def sent_back(folder: Path, researcher: Slow) -> AsyncIterator[Engine]:
    """The researcher thinks about a note on #1."""
    lab = toy_lab(folder, lookahead=1, null_runs=1)
    async with engine_at_work(lab, researcher) as engine:
        store = engine.bench.store
        await until(lambda: store.queue() and store.runs() and not store.live_runs())
        engine.handle(Revise(1, sha(store, 1), "say why"))
        await until(lambda: any(asked.revision for asked in researcher.asked))
        yield engine
    assert verify.problems(lab) == []


async def answered(engine: Engine, researcher: Slow) -> None:
    """The note is answered, and the engine has taken it in."""
    researcher.may_answer.set()
    await until(lambda: not engine.proposing.busy)


@pytest.mark.parametrize("refuses", [False, True], ids=["answered", "refused"])
async def test_a_veto_stands_when_the_answer_to_an_earlier_note_comes(tmp_path: Path, refuses: bool) -> None:
    researcher = Slow([WORSE], refuses=refuses)
    async with sent_back(tmp_path, researcher) as engine:
        store = engine.bench.store
        engine.handle(Undo(1))
        engine.handle(Veto(1, sha(store, 1), "never"))
        await answered(engine, researcher)
        assert the(store, 1).state == State.VETOED
        assert [r.decision for r in store.reviews(1) if r.undone_at is None] == [Decision.VETO]
        assert [v.source for v in store.patch_versions(1)] == ["proposed"]


async def test_an_approval_stands_and_is_judged_when_the_answer_to_an_earlier_note_comes(tmp_path: Path) -> None:
    researcher = Slow([WORSE])
    async with sent_back(tmp_path, researcher) as engine:
        store, read = engine.bench.store, sha(engine.bench.store, 1)
        engine.handle(Undo(1))
        engine.handle(Approve(1, read))
        await until(lambda: the(store, 1).state == State.RUNNING)
        await answered(engine, researcher)
        await until(lambda: the(store, 1).state == State.JUDGED)
        assert sha(store, 1) == read


async def test_a_second_note_is_the_one_that_is_answered(tmp_path: Path) -> None:
    researcher = Slow([WORSE])
    async with sent_back(tmp_path, researcher) as engine:
        store = engine.bench.store
        engine.handle(Undo(1))
        engine.handle(Revise(1, sha(store, 1), "make it smaller"))
        researcher.may_answer.set()
        await until(lambda: the(store, 1).state == State.PROPOSED)
        assert "make it smaller" in (store.patch(sha(store, 1)) or "")


async def test_a_new_version_is_carried_over_when_the_champion_moved_while_it_was_written(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, train="# first\n" + TRAIN)
    researcher = Slow([WORSE, ("# first\n", "# first\n# more\nEXTRA = 1\n")])
    async with engine_at_work(lab, researcher) as engine:
        store = engine.bench.store
        await until(lambda: len(store.queue()) == 2 and len(store.runs()) >= 3 and not store.live_runs())
        engine.handle(Revise(1, sha(store, 1), "say why"))
        await until(lambda: any(asked.revision for asked in researcher.asked))
        engine.handle(Approve(2, sha(store, 2)))
        await until(lambda: the(store, 2).state == State.JUDGED)
        engine.handle(Override(2, Verdict.KEEP, "I want it"))
        await answered(engine, researcher)
        await until(lambda: the(store, 1).state == State.PROPOSED)
        assert the(store, 1).parent_commit == engine.bench.champion()
        changed = patches.apply(patches.parse(store.patch(sha(store, 1)) or ""), engine.bench.champion_files())
        assert "EXTRA = 1" in changed["train.py"]
        assert "LEVEL = 2.5  # say why" in changed["train.py"]


async def test_what_was_committed_ahead_and_then_sent_back_trains_its_new_version(tmp_path: Path) -> None:
    class Answers(ScriptedResearcher):
        async def propose(self, situation: Situation, say: Say) -> Proposal | None:
            if situation.revision is None:
                return await super().propose(situation, say)
            text = situation.files["train.py"].replace("STEPS = 20", "STEPS = 25")
            return Proposal("revised", "h", "r", "toy", {"train.py": text}, self.name, key="revised")

    lab = gated_lab(tmp_path, train=GATED.replace("LEVEL = 2.0", "LEVEL = 2.0\n" + BLOCK))
    script = [(BLOCK, "LEVEL = 1.97\n"), ("zeta = 0.5 * 3", "zeta = 0.25 * 3")]
    async with engine_at_work(lab, Answers(script)) as engine:
        store = engine.bench.store
        await until(lambda: len(store.queue()) == 2 and store.runs() and not store.live_runs())
        hold(lab).touch()
        engine.handle(Approve(1, sha(store, 1)))
        await until(lambda: store.runs(experiment_id=1))
        engine.handle(Approve(2, sha(store, 2)))
        await until(lambda: the(store, 2).commit_sha)
        hold(lab).unlink()
        await until(lambda: the(store, 2).state == State.PROPOSED, seconds=120)
        assert the(store, 1).verdict == Verdict.KEEP
        engine.handle(Revise(2, sha(store, 2), "write it for the new champion"))
        await until(lambda: the(store, 2).title == "revised")
        engine.handle(Approve(2, sha(store, 2)))
        await until(lambda: the(store, 2).commit_sha)
        trained = engine.bench.workspace.files(the(store, 2).commit_sha or "", ["train.py"])["train.py"]
        assert "STEPS = 25" in trained
        assert "LEVEL = 1.97" in trained, "on the champion of now"
    assert verify.problems(lab) == []


async def test_with_the_dial_turned_up_what_only_a_person_can_move_does_not_leave_the_device_idle(
    tmp_path: Path,
) -> None:
    lab = toy_lab(tmp_path, lookahead=3, train=TRAIN.replace("LEVEL = 2.0", "LEVEL = 2.0\n" + BLOCK))
    conflicting = [("zeta = 0.5 * 3", f"zeta = 0.{n} * 3") for n in (25, 75, 85)]
    later = [("STEPS = 20", f"STEPS = {n}") for n in range(21, 25)]
    researcher = ScriptedResearcher([(BLOCK, "LEVEL = 1.97\n"), *conflicting, *later])
    async with engine_at_work(lab, researcher, autonomy=Autonomy.FULL) as engine:
        store = engine.bench.store
        await until(lambda: store.experiment(1) and the(store, 1).verdict == Verdict.KEEP)
        await until(lambda: sum(store.verdict_counts().values()) > 1)
        assert any("no longer fits" in the(store, row.id).problem for row in store.queue())
