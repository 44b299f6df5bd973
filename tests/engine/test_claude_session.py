"""A whole session of twenty experiments with Claude: the same each time it is played."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from core import config, verify
from core.engine.engine import Engine
from core.models import LIVE_RUNS, Experiment, State, Verdict
from core.requests import Approve, Revise, Tell, Veto
from core.researchers.claude import ClaudeResearcher
from core.secrets import Secret
from core.store import Writer
from tests.claude import KEY
from tests.engine.test_claude_engine import at_work
from tests.messages_api import Reply, load, messages_api
from tests.toy import toy_lab, until

SCRIPT = Path(__file__).with_suffix(".toml")
EXPERIMENTS = 20
OVER = (State.JUDGED, State.VETOED, State.INVALID)


@dataclass
class Played:
    """What a session left behind, without times and hashes of commits."""

    experiments: list[Any] = field(default_factory=list)
    reviews: list[Any] = field(default_factory=list)
    messages: list[Any] = field(default_factory=list)
    versions: list[Any] = field(default_factory=list)
    usage: list[Any] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    rows: list[Experiment] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def idle(store: Writer) -> bool:
    """Nothing is approved, trains or is being confirmed."""
    counts = store.counts()
    return not counts[State.APPROVED] and not counts[State.RUNNING] and not store.live_runs()


def human(engine: Engine, number: int, plan: dict[str, list[str]]) -> None:
    """Decide on a proposal as the script says."""
    experiment = engine.bench.store.experiment(number)
    assert experiment is not None
    sha = experiment.patch_sha256 or ""
    act, words = plan.pop(str(number), ["approve", ""])
    match act:
        case "veto":
            engine.handle(Veto(number, sha, words, actor="anna"))
        case "revise":
            engine.handle(Revise(number, sha, words, actor="anna"))
        case _:
            if act in ("idea", "message"):
                engine.handle(Tell(words, kind=act, actor="anna"))
            engine.handle(Approve(number, sha, actor="anna"))


async def play(root: Path) -> Played:
    """The session of the script, from an empty lab to the twentieth experiment."""
    lab = toy_lab(root, lookahead=1, null_runs=2, max_confirmations=2)
    plan = dict(tomllib.loads(SCRIPT.read_text())["human"])
    made = config.Researcher(model="claude-scripted", plateau=4)
    async with messages_api(load(SCRIPT), answer=lambda _: Reply(hang=True)) as api:
        settings = config.Config(researcher=made.model_copy(update={"base_url": api.url}))
        store = Writer(lab.database)
        secret = Secret(KEY, "ANTHROPIC_API_KEY")
        claude = ClaudeResearcher(lab, settings, store, secret, pauses=(0.01, 0.01))
        async with at_work(lab, claude) as engine:
            store = engine.bench.store
            await until(lambda: len([r for r in store.runs() if r.state not in LIVE_RUNS]) == 2)
            while sum(store.counts()[state] for state in OVER) < EXPERIMENTS:
                await until(lambda: store.queue() and idle(store), seconds=60)
                human(engine, store.queue()[0].id, plan)
                await until(lambda: idle(store), seconds=60)
            played = read(store)
            played.asked = [request["messages"] for request in api.requests[: count(SCRIPT)]]
    played.problems = verify.problems(lab)
    assert plan == {}
    return played


def count(script: Path) -> int:
    return len(load(script))


def read(store: Writer) -> Played:
    rows = store.experiments()
    return Played(
        experiments=[
            (e.id, e.state, e.title, e.author, e.category, e.verdict, e.delta, e.confirmations, e.key, e.problem)
            for e in rows[:EXPERIMENTS]
        ],
        reviews=[(r.experiment_id, r.decision, r.reason, r.patch_sha256, r.actor) for r in store.reviews()],
        messages=[(m.id, m.kind, m.body, m.answered_by) for m in store.messages()],
        versions=[(v.experiment_id, v.version, v.sha256, v.source) for e in rows for v in store.patch_versions(e.id)],
        usage=store.db.execute(
            "SELECT experiment_id, input, output, cache_read, cache_write FROM usage ORDER BY id"
        ).fetchall()[:30],
        rows=rows[:EXPERIMENTS],
    )


@pytest.mark.slow
async def test_twenty_experiments_with_vetoes_a_revision_a_repair_and_an_outage_replay_the_same(tmp_path: Path) -> None:
    one = await play(tmp_path / "one")
    states = [row.state for row in one.rows]
    verdicts = {row.id: row.verdict for row in one.rows if row.state is State.JUDGED}
    assert states.count(State.VETOED) == 3
    assert states.count(State.INVALID) == 1
    assert [number for number, verdict in verdicts.items() if verdict is Verdict.KEEP] == [1, 5, 14]
    assert verdicts[6] is Verdict.CRASHED
    assert json.loads(one.rows[7].key)["repairs"] == 6
    assert one.rows[11].author == "anna"
    assert [answered for *_, answered in one.messages] == [12, 14]
    assert [source for number, _, _, source in one.versions if number == 5][:2] == ["proposed", "revised"]
    assert one.problems == []
    told = json.dumps(one.asked, ensure_ascii=False)
    for words in (
        "vetoed by anna: “the noise is not ours to tune”", "The note: half as far", "the toy broke",
        "The idea: let it train for 40 steps", "steps do not matter, the level does", "were not kept. Small steps",
    ):  # fmt: skip
        assert words in told, words

    two = await play(tmp_path / "two")
    assert two.experiments == one.experiments
    assert two.reviews == one.reviews
    assert two.messages == one.messages
    assert two.versions == one.versions
    assert two.usage == one.usage
    for number, (first, second) in enumerate(zip(one.asked, two.asked, strict=True)):
        assert first == second, f"request {number} differs"
