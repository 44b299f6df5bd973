"""Every way in which an endpoint misbehaves, with the real SDK on a real socket."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import ResearcherError
from core.models import State, Verdict
from core.researchers.base import Pause, Unavailable
from core.secrets import Secret
from tests.claude import KEY, ClaudeLab, claude_lab
from tests.messages_api import Reply, messages_api, proposal, propose, text, tool

GOOD = propose("LEVEL = 2.0", "LEVEL = 1.9")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[ClaudeLab]:
    made = claude_lab(tmp_path)
    yield made
    made.store.close()


async def ask(lab: ClaudeLab, replies: list[Reply], **settings: Any) -> tuple[Any, Any]:
    async with messages_api(replies) as api:
        return await lab.researcher(api.url, **settings).propose(lab.situation(), lab.said.append), api


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (Reply(status=429, error="rate_limit_error", headers={"retry-after": "0.01"}), "rate limit"),
        (Reply(status=529, error="overloaded_error"), "overloaded"),
        (Reply(status=500, error="api_error"), "error 500"),
        (Reply(status=503, error="api_error", headers={"retry-after-ms": "5"}), "unavailable"),
        (Reply(GOOD.content, cut_after=7), "broke off"),
        (Reply(GOOD.content, cut_after=7, cut_inside=True), "broke off"),
        (Reply(GOOD.content, error_after=4, error="overloaded_error"), "overloaded"),
        (Reply(GOOD.content, error_after=4, error="api_error"), "error 500"),
        (Reply(body=b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"), "broke off"),
        (Reply(body=b"garbage\r\n\r\n"), "cannot be reached"),
        (
            Reply(
                body=b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nevent: message_start\ndata: {oops\n\n"
            ),
            "something else",
        ),
    ],
)
async def test_what_may_pass_is_tried_again_and_the_screen_is_told(lab: ClaudeLab, bad: Reply, words: str) -> None:
    found, api = await ask(lab, [bad, GOOD])
    assert found.title == "LEVEL = 2.0 → LEVEL = 1.9"
    assert len(api.requests) == 2
    assert api.requests[0] == api.requests[1]
    assert any(words in said and "try 2 in" in said for said in lab.said), lab.said


async def test_the_endpoint_says_how_long_to_wait(lab: ClaudeLab) -> None:
    await ask(lab, [Reply(status=429, error="rate_limit_error", headers={"retry-after": "0.2"}), GOOD])
    [pause] = [said for said in lab.said if isinstance(said, Pause)]
    assert pause.endswith("try 2 in 0.2s")
    assert pause.seconds == 0.2


async def test_a_long_wait_is_left_to_the_engine(lab: ClaudeLab) -> None:
    with pytest.raises(Unavailable, match="rate limit") as error:
        await ask(lab, [Reply(status=429, error="rate_limit_error", headers={"retry-after": "900"})])
    assert error.value.wait == 900


async def test_an_outage_ends_in_a_state_not_in_a_crash(lab: ClaudeLab) -> None:
    with pytest.raises(Unavailable, match=r"overloaded \(3 tries"):
        await ask(lab, [Reply(status=529, error="overloaded_error")] * 3)


async def test_a_refused_connection_says_who_cannot_be_reached(lab: ClaudeLab) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1 cannot be reached"):
        await lab.researcher(f"http://127.0.0.1:{port}").propose(lab.situation(), lab.said.append)


@pytest.mark.parametrize(("status", "kind"), [(401, "authentication_error"), (403, "permission_error")])
async def test_a_refused_key_is_named_but_never_shown(lab: ClaudeLab, status: int, kind: str) -> None:
    with pytest.raises(Unavailable) as error:
        await ask(lab, [Reply(status=status, error=kind, message=f"invalid key {KEY}")])
    assert "refuses the key from ANTHROPIC_API_KEY" in error.value.message
    assert "export ANTHROPIC_API_KEY" in error.value.hint
    assert "goes on training" in error.value.hint
    assert KEY not in str(error.value)


async def test_no_key_says_how_to_set_one(lab: ClaudeLab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(Unavailable, match="no key") as error:
        await lab.researcher("http://127.0.0.1:9", secret="").propose(lab.situation(), lab.said.append)
    assert "anthropic.key" in error.value.hint


async def test_a_new_key_in_a_file_needs_no_restart(lab: ClaudeLab, tmp_path: Path) -> None:
    file = tmp_path / "key"
    async with messages_api([GOOD, GOOD]) as api:
        researcher = lab.researcher(api.url, secret="", key_file=str(file))
        with pytest.raises(Unavailable, match="cannot be read"):
            await researcher.propose(lab.situation(), lab.said.append)
        file.write_text("sk-new\n")
        file.chmod(0o644)
        with pytest.raises(Unavailable, match="may be read by others"):
            await researcher.propose(lab.situation(), lab.said.append)
        file.chmod(0o600)
        await researcher.propose(lab.situation(), lab.said.append)
        assert api.headers[0]["authorization"] == "Bearer sk-new"


async def test_an_unknown_model_says_which_key_of_the_configuration_to_look_at(lab: ClaudeLab) -> None:
    with pytest.raises(Unavailable, match="knows no model 'claude-scripted'") as error:
        await ask(lab, [Reply(status=404, error="not_found_error", message="model: claude-scripted")])
    assert "[researcher]" in error.value.hint


async def test_invalid_json_in_a_tool_call_is_sent_back_and_mended(lab: ClaudeLab) -> None:
    broken = Reply([{**tool("propose", "t1"), "raw": '{"title": "half'}])
    found, api = await ask(lab, [broken, GOOD])
    assert found.files
    assert "not valid JSON" in api.prompt()
    assert api.last["messages"][1]["content"][0]["input"] == {}


async def test_two_tool_calls_at_once_are_both_answered(lab: ClaudeLab) -> None:
    both = Reply([tool("read_file", "t1", path="train.py"), tool("query", "t2", sql="SELECT count(*) AS n FROM runs")])
    _, api = await ask(lab, [both, GOOD])
    results = api.last["messages"][2]["content"]
    assert [result["tool_use_id"] for result in results] == ["t1", "t2"]
    assert "LEVEL = 2.0" in results[0]["content"]
    assert "n\n0" in results[1]["content"]


async def test_two_proposals_at_once_count_as_one(lab: ClaudeLab) -> None:
    wrong = proposal("LEVEL = 9", "LEVEL = 1", call="t1")
    other = proposal("LEVEL = 2.0", "LEVEL = 1.9", call="t2")
    found, api = await ask(lab, [Reply([wrong, other]), GOOD])
    assert found.files
    results = api.last["messages"][2]["content"]
    assert "does not occur" in results[0]["content"]
    assert "One proposal at a time" in results[1]["content"]


async def test_a_refusal_is_said_with_its_category(lab: ClaudeLab) -> None:
    details = {"type": "refusal", "category": "frontier_llm", "explanation": "no help with competing models"}
    with pytest.raises(ResearcherError, match="refused to answer: frontier_llm: no help") as error:
        await ask(lab, [Reply([text("I")], stop="refusal", stop_details=details)])
    assert "researcher.model" in error.value.hint


async def test_an_answer_cut_off_by_max_tokens_is_asked_for_again_shorter(lab: ClaudeLab) -> None:
    cut = Reply([{**tool("propose", "t1"), "raw": '{"title": "a very lo'}], stop="max_tokens")
    found, api = await ask(lab, [cut, GOOD])
    assert found.files
    assert len(api.last["messages"]) == 1
    assert "cut off" in api.prompt()


async def test_three_cut_answers_are_an_invalid_attempt(lab: ClaudeLab) -> None:
    found, _ = await ask(lab, [Reply([text("x")], stop="max_tokens")] * 3, answer_tokens=4_000)
    assert found.files == {}
    assert "cut off at 4,000 tokens" in found.problem


async def test_a_prompt_over_the_context_limit_is_summarised_more(lab: ClaudeLab) -> None:
    for number in range(260):
        lab.add([("LEVEL = 2.0", f"LEVEL = {3 + number}.0")], state=State.INVALID, title=f"a longer idea {number}")
    full = Reply(status=400, error="invalid_request_error", message="prompt is too long: 21000 tokens > 20000")
    found, api = await ask(lab, [full, GOOD], prompt_tokens=14_000)
    assert found.files
    assert len(json.dumps(api.requests[1])) < 0.8 * len(json.dumps(api.requests[0]))
    assert any("summarising more" in said for said in lab.said)


async def test_a_conversation_that_outgrows_the_context_begins_again_with_a_shorter_prompt(lab: ClaudeLab) -> None:
    for number in range(260):
        lab.add([("LEVEL = 2.0", f"LEVEL = {3 + number}.0")], state=State.INVALID, title=f"a longer idea {number}")
    look = Reply([tool("read_file", "t1", path="train.py")])
    full = Reply([text("I was about to")], stop="model_context_window_exceeded")
    found, api = await ask(lab, [look, full, GOOD], prompt_tokens=14_000)
    assert found.files
    assert len(api.last["messages"]) == 1
    assert len(json.dumps(api.last)) < 0.8 * len(json.dumps(api.requests[0]))


async def test_a_turn_that_was_paused_is_gone_on_with_and_is_no_mistake(lab: ClaudeLab) -> None:
    paused = Reply([text("Let me look at")], stop="pause_turn")
    found, api = await ask(lab, [paused, GOOD])
    assert found.files
    assert [message["role"] for message in api.last["messages"]] == ["user", "assistant"]
    assert lab.store.events() == []


async def test_a_prompt_that_never_fits_says_so(lab: ClaudeLab) -> None:
    full = Reply(status=413, error="request_too_large", message="too large")
    with pytest.raises(Unavailable, match="does not fit"):
        await ask(lab, [full] * 3)


async def test_an_answer_of_five_megabytes_is_dropped_early(lab: ClaudeLab) -> None:
    with pytest.raises(ResearcherError, match="too long to be a proposal"):
        await ask(lab, [Reply([text("x" * 5_000_000)], piece=50_000)])


async def test_five_megabytes_in_one_event_are_dropped_too(lab: ClaudeLab) -> None:
    with pytest.raises(ResearcherError, match="too long to be a proposal"):
        await ask(lab, [Reply([text("x" * 5_000_000)], piece=6_000_000)])


async def test_an_answer_without_a_proposal_is_asked_for_one(lab: ClaudeLab) -> None:
    found, api = await ask(lab, [Reply([text("I would try a larger step.")], stop="end_turn"), GOOD])
    assert found.files
    assert "call of `propose`" in api.prompt()


async def test_an_empty_answer_is_asked_for_more(lab: ClaudeLab) -> None:
    found, api = await ask(lab, [Reply([], stop="end_turn"), GOOD])
    assert found.files
    assert [message["role"] for message in api.last["messages"]] == ["user"]


async def test_thinking_is_sent_back_unchanged_and_nothing_before_it_changes(lab: ClaudeLab) -> None:
    thought = {"type": "thinking", "thinking": "the loss is high", "signature": "c2ln"}
    replies = [
        Reply([thought, tool("read_file", "t1", path="train.py")]),
        Reply([proposal("nowhere", "x", call="t2")]),
        GOOD,
    ]
    _, api = await ask(lab, replies)
    assert api.last["messages"][1]["content"][0] == thought
    for earlier, later in zip(api.requests, api.requests[1:], strict=False):
        assert later["messages"][: len(earlier["messages"])] == earlier["messages"]
        assert {**later, "messages": 0} == {**earlier, "messages": 0}


async def test_every_kind_of_thinking_goes_back_as_it_came_through_all_rounds(lab: ClaudeLab) -> None:
    """A changed block is a 400, and a hidden one has only its signature or its data."""
    hidden = {"type": "thinking", "thinking": "", "signature": "aGlkZGVu"}
    redacted = {"type": "redacted_thinking", "data": "ZW5jcnlwdGVk"}
    shown = {"type": "thinking", "thinking": "caf\u00e9 \x00 \U0001f600", "signature": "c2hvd24="}
    replies = [
        Reply([hidden, redacted, tool("read_file", "t1", path="train.py")]),
        Reply([shown, text("so"), tool("experiments", "t2")]),
        GOOD,
    ]
    _, api = await ask(lab, replies)
    assert api.last["messages"][1]["content"][:2] == [hidden, redacted]
    assert api.last["messages"][3]["content"][:2] == [shown, text("so")]


CAPABLE = {
    "max_input_tokens": 200_000,
    "max_tokens": 16_000,
    "capabilities": {"thinking": {"supported": True, "types": {"adaptive": {"supported": True}}}},
}


async def test_a_model_that_thinks_in_silence_is_asked_for_a_summary_to_show(lab: ClaudeLab) -> None:
    thought = {"type": "thinking", "thinking": "The level is too high. " * 20, "signature": "c2ln"}
    async with messages_api([Reply([thought, *GOOD.content], pause=0.02), GOOD]) as api:
        api.model = CAPABLE
        researcher = lab.researcher(api.url)
        await researcher.propose(lab.situation(), lab.said.append)
        await researcher.propose(lab.situation(), lab.said.append)
        assert [r["thinking"] for r in api.requests] == [{"type": "adaptive", "display": "summarized"}] * 2
        assert api.asked_for_the_model == 1
    assert any(said.startswith("thinks") and "\nThe level is too high." in said for said in lab.said)


async def test_the_answer_and_the_prompt_are_no_longer_than_the_model_takes(lab: ClaudeLab) -> None:
    for number in range(260):
        lab.add([("LEVEL = 2.0", f"LEVEL = {3 + number}.0")], state=State.INVALID, title=f"a longer idea {number}")
    async with messages_api([GOOD, GOOD]) as api:
        await lab.researcher(api.url).propose(lab.situation(), lab.said.append)
        api.model = {**CAPABLE, "max_input_tokens": 10_000, "max_tokens": 4_000}
        await lab.researcher(api.url).propose(lab.situation(), lab.said.append)
        whole, short = api.requests
    assert (whole["max_tokens"], short["max_tokens"]) == (32_000, 4_000)
    assert len(json.dumps(short)) / 3 < 6_500 < len(json.dumps(whole)) / 3


@pytest.mark.parametrize("said", [None, {}, {"capabilities": None}, {"capabilities": {"thinking": "yes"}}])
async def test_a_server_that_says_nothing_of_its_model_is_asked_plainly(lab: ClaudeLab, said: Any) -> None:
    async with messages_api([GOOD]) as api:
        api.model = said
        assert await lab.researcher(api.url).propose(lab.situation(), lab.said.append)
        assert "thinking" not in api.last
        assert api.last["max_tokens"] == 32_000


async def test_at_most_four_cache_marks_are_set_and_the_lasting_ones_come_first(lab: ClaudeLab) -> None:
    """A fifth, or an hour after five minutes, is a 400."""
    for number in range(60):
        lab.add([("LEVEL = 2.0", f"LEVEL = {3 + number}.0")], verdict=Verdict.DISCARD, delta=0.5)
    _, api = await ask(lab, [Reply([tool("experiments", "t1")]), GOOD])
    for request in api.requests:
        blocks = [*request["tools"], *request["system"], *(b for m in request["messages"] for b in m["content"])]
        marks = [block["cache_control"] for block in blocks if "cache_control" in block]
        assert marks == [{"type": "ephemeral", "ttl": "1h"}] * 3
        assert request["cache_control"] == {"type": "ephemeral"}
        assert all(block.get("text") != "" for block in blocks)


async def test_the_work_stops_at_once_when_the_engine_does(lab: ClaudeLab) -> None:
    async with messages_api([Reply(hang=True)]) as api:
        task = asyncio.create_task(lab.researcher(api.url).propose(lab.situation(), lab.said.append))
        async with asyncio.timeout(60):
            while not api.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


async def test_every_call_is_paid_for_the_ones_that_broke_off_too(lab: ClaudeLab) -> None:
    prices = {"claude-scripted": {"input": 1.0, "output": 5.0, "cache_read": 0.1, "cache_write": 2.0}}
    await ask(lab, [Reply(GOOD.content, cut_after=7), GOOD], prices=prices)
    rows = lab.store.db.execute("SELECT input, output, cache_read, cache_write, cost FROM usage ORDER BY id").fetchall()
    assert len(rows) == 2
    assert rows[0][1] > 1
    assert rows[1][1] == 100
    assert rows[1][2] > 1_000
    for row in rows:
        assert row[4] == pytest.approx((row[0] + 5 * row[1] + 0.1 * row[2] + 2 * row[3]) / 1e6)


async def test_model_effort_and_endpoint_come_from_the_configuration(lab: ClaudeLab) -> None:
    _, api = await ask(lab, [GOOD], effort="high", answer_tokens=5_000, cache="5m")
    assert api.last["model"] == "claude-scripted"
    assert api.last["output_config"] == {"effort": "high"}
    assert api.last["max_tokens"] == 5_000
    assert "tool_choice" not in api.last
    assert "eager_input_streaming" not in json.dumps(api.last)
    assert api.last["system"][-1]["cache_control"] == {"type": "ephemeral"}


async def test_a_server_that_knows_no_caching_is_sent_none(lab: ClaudeLab) -> None:
    _, api = await ask(lab, [GOOD], cache="off")
    assert "cache_control" not in json.dumps(api.last)


async def test_the_sdks_own_variable_names_the_endpoint(lab: ClaudeLab, monkeypatch: pytest.MonkeyPatch) -> None:
    async with messages_api([GOOD]) as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        assert await lab.researcher("").propose(lab.situation(), lab.said.append)
        assert api.headers[0]["x-api-key"] == KEY


async def test_a_gateway_gets_the_headers_it_wants(lab: ClaudeLab) -> None:
    async with messages_api([GOOD]) as api:
        researcher = lab.researcher(api.url)
        researcher.secret = Secret(KEY, "ANTHROPIC_API_KEY", headers=(("X-Gateway", "gw-secret-123"),))
        await researcher.propose(lab.situation(), lab.said.append)
        assert api.headers[0]["x-gateway"] == "gw-secret-123"
        assert api.headers[0]["x-api-key"] == KEY


async def test_every_trouble_is_an_event(lab: ClaudeLab) -> None:
    limit = Reply(status=429, error="rate_limit_error")
    broken = Reply([{**tool("propose", "t1"), "raw": "{"}])
    frozen = Reply([proposal("a", "b", path="nanochat/harness.py")])
    await ask(lab, [limit, broken, frozen, GOOD])
    told = [(event.kind, str(event.body.get("error") or event.body["problem"])) for event in lab.store.events()]
    assert told[0] == ("researcher_retries", "127.0.0.1: rate limit")
    assert [kind for kind, _ in told] == ["researcher_retries", "researcher_mends", "researcher_mends"]
    assert "not valid JSON" in told[1][1]
    assert "frozen" in told[2][1]


async def test_a_gateway_may_want_a_token_instead_of_a_key(lab: ClaudeLab) -> None:
    async with messages_api([GOOD]) as api:
        researcher = lab.researcher(api.url)
        researcher.secret = Secret("gateway-token", "ANTHROPIC_AUTH_TOKEN", "auth_token")
        await researcher.propose(lab.situation(), lab.said.append)
        assert api.headers[0]["authorization"] == "Bearer gateway-token"
        assert "x-api-key" not in api.headers[0]
