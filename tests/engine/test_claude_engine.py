"""Claude inside a real engine: what ends up in the record, what pauses, what goes on meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from core import config, verify
from core.engine.engine import Engine, make_bench, make_researcher, take_key
from core.lab import Lab
from core.models import Autonomy, Experiment, State, Verdict
from core.requests import Approve, Revise, Veto
from core.researchers.base import Researcher
from core.researchers.claude import ClaudeResearcher, FallbackResearcher
from core.secrets import Secret
from core.store import Writer
from tests.claude import KEY
from tests.messages_api import Api, Reply, messages_api, proposal, propose, text, tool
from tests.toy import TRAIN, ScriptedResearcher, engine_at_work, toy_lab, until

BETTER = ("LEVEL = 2.0", "LEVEL = 1.97")
WORSE = ("LEVEL = 2.0", "LEVEL = 2.5")
STEPS = ("STEPS = 20", "STEPS = 25")


def claude(lab: Lab, url: str, **settings: Any) -> ClaudeResearcher:
    """Claude in a lab whose engine is not there yet: it writes through a connection of its own."""
    made = config.Researcher(**{"model": "claude-scripted", "base_url": url, **settings})
    store = Writer(lab.database)
    return ClaudeResearcher(
        lab, config.Config(researcher=made), store, Secret(KEY, "ANTHROPIC_API_KEY"), pauses=(0.01, 0.01)
    )


@asynccontextmanager
async def at_work(lab: Lab, researcher: Researcher, *, autonomy: Autonomy | None = None) -> AsyncIterator[Engine]:
    """An engine at work; from here on the researcher writes through the engine's own connection."""
    async with engine_at_work(lab, cast(ScriptedResearcher, researcher), autonomy=autonomy) as engine:
        asked = researcher.first if isinstance(researcher, FallbackResearcher) else researcher
        if isinstance(asked, ClaudeResearcher):
            asked.store.close()
            asked.store = engine.bench.store
        if isinstance(researcher, FallbackResearcher):
            researcher.journal = engine.bench.store.event
        yield engine


@asynccontextmanager
async def session(
    lab: Lab, *replies: Reply, autonomy: Autonomy | None = None, told: Sequence[tuple[str, str]] = (), **settings: Any
) -> AsyncIterator[tuple[Engine, Writer, Api]]:
    """A lab at work with Claude, whose API answers from the script and then is silent."""
    async with messages_api(replies, answer=lambda _: Reply(hang=True)) as api:
        researcher = claude(lab, api.url, **settings)
        for kind, words in told:
            researcher.store.add_message(words, actor="anna", kind=kind)
        async with at_work(lab, researcher, autonomy=autonomy) as engine:
            yield engine, engine.bench.store, api


def row(store: Writer, number: int) -> Experiment:
    found = store.experiment(number)
    assert found is not None
    return found


def sha(store: Writer, number: int) -> str:
    return row(store, number).patch_sha256 or ""


def detail(store: Writer) -> str:
    """What the screen shows of the researcher."""
    return str(store.setting("researcher", {}).get("detail", ""))


async def test_a_proposal_is_reviewed_trained_and_judged_and_its_calls_belong_to_it(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, lookahead=1)
    look = Reply([tool("experiments", "t1")])
    async with session(lab, look, propose(*BETTER), autonomy=Autonomy.FULL) as (_, store, _api):
        await until(lambda: store.verdict_counts()[Verdict.KEEP] == 1, seconds=60)
        usage = store.db.execute("SELECT experiment_id, model FROM usage ORDER BY id").fetchall()
        assert usage[:2] == [(1, "claude-scripted")] * 2
        assert row(store, 1).author == "claude"
    assert verify.problems(lab) == []


async def test_a_note_gets_a_new_version_beside_the_old_one(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, lookahead=1)
    again = propose("LEVEL = 2.0", "LEVEL = 2.2", reply="Half as far.")
    async with session(lab, propose(*WORSE), again) as (engine, store, _):
        await until(lambda: store.queue())
        old = sha(store, 1)
        engine.handle(Revise(1, old, "half as far"))
        await until(lambda: store.queue() and sha(store, 1) != old)
        assert [version.source for version in store.patch_versions(1)] == ["proposed", "revised"]
        assert "To your note: Half as far." in row(store, 1).rationale


async def test_an_outage_keeps_the_note_waiting_until_it_is_over(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, lookahead=1)
    out = [Reply(status=529, error="overloaded_error")] * 3
    async with session(lab, propose(*WORSE), *out, propose("LEVEL = 2.0", "LEVEL = 2.2")) as (engine, store, _):
        await until(lambda: store.queue())
        engine.handle(Revise(1, sha(store, 1), "half as far"))
        await until(lambda: store.setting("researcher", {}).get("state") == "error")
        assert row(store, 1).state == State.REVISING
        assert "overloaded" in detail(store)
        await until(lambda: store.queue())
        assert len(store.patch_versions(1)) == 2


async def test_a_note_the_model_refuses_goes_back_to_the_human_with_what_to_do(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, lookahead=1)
    async with session(lab, propose(*WORSE), Reply([text("I")], stop="refusal")) as (engine, store, _):
        await until(lambda: store.queue())
        engine.handle(Revise(1, sha(store, 1), "half as far"))
        await until(lambda: row(store, 1).problem)
        assert row(store, 1).state == State.PROPOSED
        assert row(store, 1).problem.startswith("claude-scripted refused to answer (look at program.md")


async def test_an_answer_of_no_use_is_not_asked_for_again_until_there_is_something_new(tmp_path: Path) -> None:
    """Each try costs as much as an answer; a word of the human is something new."""
    lab = toy_lab(tmp_path, lookahead=1)
    refusals = [Reply([text("I")], stop="refusal")] * 2
    async with session(lab, *refusals, propose(*STEPS, reply="Yes.")) as (engine, store, api):
        await until(lambda: len(api.requests) == 2 and "refused" in detail(store))
        engine.proposing._not_before = float("inf")  # as after a long night of refusals
        store.add_message("it is a toy", actor="anna", kind="message")
        await until(lambda: store.queue())
        assert store.messages()[0].answered_by == 1


async def test_a_wait_is_published_with_its_end_so_that_the_screen_can_count_down(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, lookahead=1)
    long = Reply(status=429, error="rate_limit_error", headers={"retry-after": "900"})
    async with session(lab, long) as (_, store, _api):
        await until(lambda: store.setting("researcher", {}).get("state") == "error")
        left = store.setting("researcher")["until"] - time.time()
        assert 800 < left <= 900
        assert "rate limit; trying again in 15m" in detail(store)


async def test_a_short_wait_inside_an_answer_is_counted_down_too(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, lookahead=1)
    short = Reply(status=429, error="rate_limit_error", headers={"retry-after": "30"})
    async with session(lab, short) as (_, store, _api):
        await until(lambda: "try 2 in 30s" in detail(store))
        assert 10 < store.setting("researcher")["until"] - time.time() <= 30


async def test_a_cap_of_the_day_ends_by_itself_at_midnight(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, lookahead=1)
    async with messages_api([propose(*BETTER), propose(*STEPS)]) as api:
        researcher = claude(lab, api.url, caps={"tokens_per_day": 500})
        today = datetime.datetime.now().replace(hour=0, minute=0, second=0, microsecond=0)
        midnight, began = (today + datetime.timedelta(days=1)).timestamp(), time.monotonic()
        over = asyncio.Event()
        researcher.now = lambda: midnight + 1.0 if over.is_set() else midnight - 0.5  # half a second before it
        async with at_work(lab, researcher) as engine:
            store = engine.bench.store
            await until(lambda: store.queue())
            engine.handle(Approve(1, sha(store, 1)))
            await until(lambda: store.setting("researcher", {}).get("state") == "waiting")
            assert "tokens a day is used up" in detail(store)
            assert len(api.requests) == 1
            over.set()
            await until(lambda: len(api.requests) == 2)
            assert time.monotonic() > began + 0.5
            await until(lambda: any(e.id == 2 and e.state == State.PROPOSED for e in store.experiments()))


async def test_an_idea_and_a_message_are_answered_by_the_experiments_made_of_them(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, lookahead=2)
    replies = [propose(*STEPS, reply="Yes."), propose("NOISE = 0.005", "NOISE = 0.006", reply="Yes.")]
    told = [("idea", "more steps"), ("message", "is the noise real?")]
    async with session(lab, *replies, told=told) as (_, store, _api):
        await until(lambda: len(store.queue()) == 2)
        assert [message.answered_by for message in store.messages()] == [1, 1]
        assert [row(store, n).author for n in (1, 2)] == ["anna", "claude"]


async def test_three_wrong_proposals_are_an_invalid_attempt_and_the_next_begins(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, lookahead=1)
    wrong = [propose("nowhere", "x", title="Try this")] * 3
    async with session(lab, *wrong, propose(*BETTER)) as (_, store, _api):
        await until(lambda: store.queue())
        assert row(store, 1).state == State.INVALID
        assert "does not occur" in row(store, 1).problem
        assert row(store, 2).state == State.PROPOSED
        assert [r[0] for r in store.db.execute("SELECT experiment_id FROM usage ORDER BY id")] == [1, 1, 1, 2]


async def test_a_cap_pauses_proposing_and_nothing_else(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, lookahead=1)
    caps = {"tokens_per_lab": 500}
    async with session(lab, propose(*BETTER), autonomy=Autonomy.FULL, caps=caps) as (_, store, api):
        await until(lambda: store.verdict_counts()[Verdict.KEEP] == 1)
        await until(lambda: store.setting("researcher", {}).get("state") == "waiting")
        assert "cap of 500 tokens a lab is used up" in detail(store)
        assert "tokens_per_lab" in detail(store)
        assert len(api.requests) == 1
        assert [e.kind for e in store.events()].count("researcher_failed") == 1


async def test_a_cap_in_the_middle_leaves_one_last_call_to_finish(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, lookahead=1)
    look = Reply([tool("experiments", "t1")])
    async with session(lab, look, propose(*BETTER), caps={"tokens_per_day": 500}) as (_, store, api):
        await until(lambda: store.queue())
        assert "This was the last look" in api.prompt()


async def test_a_cap_that_is_reached_in_the_middle_loses_no_idea(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, lookahead=1)
    looks = [Reply([tool("experiments", f"t{n}")]) for n in range(2)]
    told = [("idea", "more steps")]
    async with session(lab, *looks, told=told, caps={"tokens_per_day": 500}) as (_, store, _api):
        await until(lambda: store.setting("researcher", {}).get("state") == "waiting")
        assert store.experiments() == []
        assert len(store.messages(unanswered=True)) == 1


async def test_a_cap_on_one_proposal_ends_that_attempt(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, lookahead=1)
    looks = [Reply([tool("experiments", f"t{n}")]) for n in range(2)]
    async with session(lab, *looks, propose(*BETTER), caps={"tokens_per_proposal": 500}) as (_, store, _api):
        await until(lambda: store.queue())
        assert "tokens_per_proposal is 500" in row(store, 1).problem
        assert row(store, 2).state == State.PROPOSED


async def test_the_offline_researcher_steps_in_and_says_so(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, lookahead=1)
    levels = [("LEVEL = 2.0", f"LEVEL = {level}.0") for level in range(3, 60)]
    async with messages_api([Reply(status=529, error="overloaded_error")] * 3 + [propose(*STEPS)]) as api:
        now = [0.0]
        stand_in = ScriptedResearcher(levels, name="offline")
        both = FallbackResearcher(claude(lab, api.url), stand_in, clock=lambda: now[0])
        async with at_work(lab, both, autonomy=Autonomy.FULL) as engine:
            store = engine.bench.store
            await until(lambda: store.verdict_counts()[Verdict.DISCARD] >= 1)
            assert row(store, 1).author == "offline"
            assert "Proposed in place of claude: 127.0.0.1: overloaded (3 tries)." in row(store, 1).rationale
            assert [event.kind for event in store.events()].count("researcher_away") == 1
            words = "the offline researcher proposes meanwhile: 127.0.0.1: overloaded (3 tries)"
            await until(lambda: store.setting("researcher")["instead"] == words)
            await until(lambda: store.setting("researcher")["state"] != "idle" or detail(store) == words)
            now[0] += 1_000
            await until(lambda: any(e.author == "claude" for e in store.experiments()))
            assert "researcher_back" in [event.kind for event in store.events()]
            await until(lambda: store.setting("researcher")["instead"] == "")


async def test_a_note_that_waits_for_the_model_does_not_keep_the_device_idle(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, lookahead=1)
    out = [Reply(status=529, error="overloaded_error")] * 3
    async with messages_api([propose(*WORSE), *out, propose("LEVEL = 2.0", "LEVEL = 2.2")]) as api:
        now = [0.0]
        stand_in = ScriptedResearcher([STEPS], name="offline")
        both = FallbackResearcher(claude(lab, api.url), stand_in, clock=lambda: now[0])
        async with at_work(lab, both) as engine:
            store = engine.bench.store
            await until(lambda: store.queue())
            engine.handle(Revise(1, sha(store, 1), "half as far"))
            await until(lambda: store.queue())
            assert row(store, 1).state == State.REVISING
            assert row(store, 2).author == "offline"


async def test_a_proposal_that_a_new_champion_made_stale_is_thrown_away_and_told(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, lookahead=2)
    replies = [propose(*BETTER), propose("LEVEL = 2.0", "LEVEL = 1.0"), propose(*STEPS)]
    async with session(lab, *replies) as (engine, store, api):
        await until(lambda: len(store.queue()) == 2)
        engine.handle(Approve(1, sha(store, 1)))
        await until(lambda: store.verdict_counts()[Verdict.KEEP] == 1)
        await until(lambda: row(store, 2).state == State.INVALID)
        await until(lambda: len(api.requests) >= 4)
        assert "stale" in [event.kind for event in store.events()]
        assert "#2 invalid: the champion has changed" in api.prompt()


async def test_a_running_experiment_never_notices_an_outage(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, lookahead=2)
    dead = [Reply(status=401, error="authentication_error", message="bad key")] * 20
    slow = propose("SECONDS = 0.0", "SECONDS = 0.5")
    async with session(lab, slow, *dead, autonomy=Autonomy.FULL) as (_, store, _api):
        await until(lambda: "refuses the key from ANTHROPIC_API_KEY" in detail(store))
        await until(lambda: sum(store.verdict_counts().values()) == 1)
        assert row(store, 1).verdict != Verdict.CRASHED


async def test_the_engine_stops_at_once_while_the_model_thinks(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, lookahead=1)
    async with asyncio.timeout(30):
        async with session(lab, Reply([text("well, ")] * 400, pause=0.5)) as (_, store, _api):
            await until(lambda: "thinks aloud" in detail(store))


async def test_what_it_writes_is_on_the_screen_while_it_writes_it(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, lookahead=1)
    slow = Reply([proposal(*BETTER, rationale="The level is too high. " * 30)], pause=0.05, piece=30)
    async with session(lab, slow) as (_, store, _api):
        await until(lambda: "\nThe level is too high." in detail(store))
        now = store.setting("researcher")
        assert (now["state"], now["kind"]) == ("thinking", "claude")
        assert now["since"] > 0
        assert "tokens" in now["detail"]


async def test_a_veto_is_told_and_nearly_the_same_is_not_proposed_again(tmp_path: Path) -> None:
    lab = toy_lab(tmp_path, lookahead=1)
    replies = [propose(*WORSE), propose("LEVEL = 2.0", "LEVEL = 2.4"), propose(*STEPS)]
    async with session(lab, *replies) as (engine, store, api):
        await until(lambda: store.queue())
        engine.handle(Veto(1, sha(store, 1), "never up"))
        await until(lambda: store.queue())
        assert row(store, 2).title == "STEPS = 20 → STEPS = 25"
        assert "“never up”" in api.prompt(2)


# ---- who proposes ----------------------------------------------------------------------------------------------------


@pytest.fixture
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("core.secrets.harden", lambda: True)  # pytest's own process stays as it is


def researcher_of(lab: Lab, **settings: str) -> tuple[Researcher, dict[str, Any]]:
    text = lab.config_file.read_text().replace('kind = "offline"\n', "")
    lines = "".join(f'{key} = "{value}"\n' for key, value in settings.items())
    lab.config_file.write_text(text.replace("[researcher]\n", f"[researcher]\n{lines}"))
    secret = take_key(lab.load_config().researcher)
    bench = make_bench(lab)
    try:
        return make_researcher(bench, secret), bench.store.setting("researcher")
    finally:
        bench.store.close()


@pytest.mark.usefixtures("no_key")
def test_without_a_key_the_offline_researcher_works_and_the_screen_knows(tmp_path: Path) -> None:
    made, told = researcher_of(toy_lab(tmp_path))
    assert made.name == "offline"
    assert told["key_missing"] is True


@pytest.mark.usefixtures("no_key")
def test_with_a_key_claude_proposes_and_the_environment_forgets_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    made, told = researcher_of(toy_lab(tmp_path))
    assert isinstance(made, ClaudeResearcher)
    assert (told["kind"], told["key_missing"]) == ("claude", False)
    assert "ANTHROPIC_API_KEY" not in os.environ


@pytest.mark.usefixtures("no_key")
def test_the_offline_researcher_forgets_the_key_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    made, _ = researcher_of(toy_lab(tmp_path), kind="offline")
    assert made.name == "offline"
    assert "ANTHROPIC_API_KEY" not in os.environ


@pytest.mark.usefixtures("no_key")
def test_a_key_file_that_cannot_be_used_does_not_fall_back_in_silence(tmp_path: Path) -> None:
    made, told = researcher_of(toy_lab(tmp_path), key_file=str(tmp_path / "nothing"))
    assert isinstance(made, ClaudeResearcher)
    assert told["key_missing"] is True


@pytest.mark.usefixtures("no_key")
def test_a_fallback_is_made_where_one_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    made, _ = researcher_of(toy_lab(tmp_path), fallback="offline")
    assert isinstance(made, FallbackResearcher)


async def test_the_key_is_nowhere_in_the_lab(tmp_path: Path) -> None:
    """Not in the database, a log, an event, the requests' bodies, or a run's files, whatever went wrong."""
    lab = toy_lab(tmp_path, lookahead=1)
    leak = Reply(status=400, error="invalid_request_error", message=f"your header was Bearer {KEY}")
    echo = Reply(status=403, error="permission_error", message=f"key {KEY} may not")
    async with session(lab, propose(*BETTER), leak, echo, autonomy=Autonomy.FULL) as (_, store, api):
        await until(lambda: store.verdict_counts()[Verdict.KEEP] == 1)
        await until(lambda: "[key]" in detail(store))
        assert all(KEY not in str(request) for request in api.requests)
    with sqlite3.connect(lab.database) as db:
        assert KEY not in "\n".join(db.iterdump())
    for file in lab.root.rglob("*"):
        if file.is_file() and not file.is_socket():
            assert KEY.encode() not in file.read_bytes(), file


LOOK_EVERYWHERE = """
import glob, os
mark = ("sk-ant-" + "proc-0123456789").encode()
seen = []
for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
    try:
        with open(path, "rb") as file:
            seen += [path] if mark in file.read() else []
    except OSError:
        pass
with open(os.path.join(os.environ["AR_OUT"], "seen.txt"), "w") as file:
    file.write(" ".join(seen))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
async def test_training_code_finds_the_key_in_no_process(tmp_path: Path) -> None:
    """A real engine with the key in its environment proposes with it; the trainer looks through all of /proc."""
    key = "sk-ant-" + "proc-0123456789"
    lab = toy_lab(tmp_path, lookahead=1, null_runs=1, train=TRAIN + LOOK_EVERYWHERE)
    echo = Reply(status=403, error="permission_error", message=f"key {key} may not")
    async with messages_api([propose(*STEPS), echo], answer=lambda _: Reply(hang=True)) as api:
        wanted = f'kind = "claude"\nmodel = "claude-scripted"\nbase_url = "{api.url}"'
        lab.config_file.write_text(lab.config_file.read_text().replace('kind = "offline"', wanted))
        store = Writer(lab.database)  # only to turn the dial before the engine starts
        store.set("autonomy", Autonomy.FULL)
        store.close()
        engine = subprocess.Popen(
            [sys.executable, "-m", "core.engine", str(lab.root)], env={**os.environ, "ANTHROPIC_API_KEY": key}
        )
        try:
            await until(lambda: list(lab.runs.glob("*/exit.json"))[1:], seconds=60)
            await until(lambda: b"[key] may not" in lab.log.read_bytes(), seconds=60)
            assert api.headers[0]["authorization"] == f"Bearer {key}"
            with contextlib.suppress(PermissionError):
                assert key.encode() not in Path(f"/proc/{engine.pid}/environ").read_bytes()
        finally:
            engine.terminate()
            await asyncio.to_thread(engine.wait)
    seen = [file.read_text() for file in lab.runs.glob("*/out/seen.txt")]
    assert len(seen) >= 2
    assert set(seen) == {""}
    for file in lab.root.rglob("*"):  # the database, the log, every run's command, environment and output
        if file.is_file() and not file.is_symlink():
            assert key.encode() not in file.read_bytes(), file
