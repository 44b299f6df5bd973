"""The pure parts of Claude's loop: stream pieces, repeats, digests, history, questions, caps."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core import patches
from core.config import Caps, Prices, Researcher
from core.models import Decision, Experiment, Review, Series, State, Verdict, Via
from core.researchers.claude.answer import Incoming, TooLong, read_call, spoken
from core.researchers.claude.budget import Usage, cost, over, used_up
from core.researchers.claude.digest import digest
from core.researchers.claude.forms import tools
from core.researchers.claude.history import CHUNK, history, line, lineage
from core.researchers.claude.likeness import meaning
from core.researchers.claude.question import demand, misses, to_repair
from core.researchers.claude.repeats import Vetoed, marks, near_repeat
from core.researchers.claude.words import estimate, fenced, quoted, shortened, valid


def experiment(number: int, **changes: Any) -> Experiment:
    known = {"verdict": Verdict.DISCARD, "delta": 0.01, "metric": 2.0, "judged_at": float(number)}
    words = dict.fromkeys(("hypothesis", "rationale", "expected", "verdict_reason", "problem", "syntax_sha256"), "")
    named = {
        "id": number, "state": State.JUDGED, "title": f"idea {number}", "category": "optimizer", "author": "claude",
        "key": '{"source":"claude"}', "parent_commit": "a" * 40, "created_at": float(number),
    }  # fmt: skip
    nothing: dict[str, Any] = dict.fromkeys(field.name for field in fields(Experiment))
    return Experiment(**{**nothing, **words, **known, **named, **changes})


# ---- the stream ------------------------------------------------------------------------------------------------------


@given(st.text(), st.integers(min_value=0, max_value=400))
def test_a_value_that_is_still_being_written_is_a_beginning_of_the_whole(value: str, cut: int) -> None:
    whole = json.dumps({"title": "t", "rationale": value, "edits": []})
    shown = spoken(whole[:cut], "rationale")
    assert (
        valid(value).startswith(valid(shown))
        or value.startswith(shown)
        or shown.encode("utf-8", "replace").endswith(b"?")
    )
    assert spoken(whole, "rationale") == value


def test_a_value_in_another_value_is_not_mistaken_for_it() -> None:
    assert spoken(json.dumps({"title": 'about "rationale": "no"', "rationale": "yes"}), "rationale") == "yes"


@pytest.mark.parametrize("text", ["{", "[1]", '"x"', '{"a": "\\ud800"}', "{" * 100_000, "\x00"])
def test_an_input_that_cannot_be_read_says_so(text: str) -> None:
    call = read_call({"id": "1", "name": "propose"}, text)
    assert call.problem
    assert call.input == {}


def delta(text: str) -> Any:
    piece = SimpleNamespace(type="text_delta", text=text)
    return SimpleNamespace(type="content_block_delta", index=0, delta=piece)


def test_an_endless_answer_is_ended() -> None:
    incoming = Incoming()
    for _ in range(1_000):
        incoming.take(delta("x" * 1_000))
    with pytest.raises(TooLong):
        incoming.take(delta("x"))


def test_events_nobody_knows_are_passed_over() -> None:
    incoming = Incoming()
    incoming.take(SimpleNamespace(type="something_new"))
    unknown = SimpleNamespace(type="new_delta")
    incoming.take(SimpleNamespace(type="content_block_delta", index=3, delta=unknown))
    assert incoming.answer().content == []


# ---- vetoed ideas ----------------------------------------------------------------------------------------------------

FILE = "LR = 0.02  # of Muon\nBETA = 0.9\n\ndef f(x):\n    return x * 2\n"


def patch(*edits: tuple[str, str]) -> patches.Patch:
    text = FILE
    for old, new in edits:
        text = text.replace(old, new)
    return patches.diff({"a.py": FILE}, {"a.py": text})


def vetoed(number: int, title: str, body: patches.Patch) -> Vetoed:
    return Vetoed(number, title, "no", "anna", marks(body), meaning(title, "", body))


VETO = vetoed(7, "raise LR", patch(("LR = 0.02", "LR = 0.03")))


@pytest.mark.parametrize(
    ("edits", "near"),
    [
        ([("LR = 0.02", "LR = 0.04")], True),
        ([("LR = 0.02  # of Muon", "LR = 0.025  # a gentler step")], True),
        ([("LR = 0.02", "LR = 0.01")], False),
        ([("BETA = 0.9", "BETA = 0.95")], False),
        ([("LR = 0.02", "LR = 0.03"), ("x * 2", "relu(x)")], False),
        ([("LR = 0.02", "LR = 2e-1")], True),
    ],
)
def test_a_vetoed_change_is_known_again_in_another_size(edits: list[tuple[str, str]], near: bool) -> None:
    assert (near_repeat(patch(*edits), [VETO]) is VETO) == near


def test_a_vetoed_rewrite_is_known_again_with_other_numbers_and_comments() -> None:
    rewrite = vetoed(1, "", patch(("return x * 2", "y = x.tanh() * 3\n    return y + x")))
    assert near_repeat(patch(("return x * 2", "y = x.tanh() * 5  # wider\n    return y + x")), [rewrite])
    assert not near_repeat(patch(("return x * 2", "y = x.relu()\n    return y - x")), [rewrite])


# ---- curves ----------------------------------------------------------------------------------------------------------


def series(values: list[float], *, seconds: float = 10.0) -> Series:
    count = len(values)
    times = tuple(seconds * (n + 1) / count for n in range(count))
    return Series("loss", tuple(range(count)), times, tuple(values))


FALL = [3.0 + 7.0 * 0.98**n for n in range(400)]


def test_a_digest_shows_both_curves_at_equal_shares_of_the_budget() -> None:
    text = digest(series([v - 0.1 for v in FALL]), series(FALL, seconds=20.0), finished=True)
    assert "100%" in text
    assert text.count("-0.1") >= 10
    assert "no spikes" in text


def test_a_digest_finds_spikes_and_where_they_are() -> None:
    values = [*FALL]
    values[200] += 2.0
    text = digest(series(values), None, finished=True)
    assert "1 spikes, the highest by 1.98 at 50%" in text


def test_a_digest_of_a_diverged_run_says_where_it_diverged() -> None:
    values = [*FALL[:200], *[math.nan] * 5]
    text = digest(series(values, seconds=5.125), series(FALL), finished=False)
    assert "5 values are not finite, the first at 50%: it diverged" in text
    assert "it ends at 51% of the budget" in text


@given(st.lists(st.floats(), max_size=60), st.booleans())
@example([0.0] * 8 + [8.988465674311579e307, 8.98846567431158e307], False)
def test_a_digest_never_fails(values: list[float], finished: bool) -> None:
    assert digest(series(values), series(FALL), finished=finished)


# ---- the record ------------------------------------------------------------------------------------------------------


def test_a_line_says_what_became_of_it() -> None:
    kept = experiment(3, verdict=Verdict.KEEP, delta=-0.004, delta_low=-0.006, delta_high=-0.002, confirmations=3)
    assert line(kept) == "#3 keep Δ-0.00400 [-0.00600, -0.00200] n=3 | optimizer | idea 3"
    crashed = experiment(4, verdict=Verdict.CRASHED, delta=None, verdict_reason="out of memory\n\x1b[2J")
    assert line(crashed) == "#4 crashed: out of memory ␛[2J | optimizer | idea 4"


def test_the_history_only_grows_at_its_end_and_its_chunks_stay() -> None:
    before = history([experiment(n) for n in range(1, 3 * CHUNK)], {}, "min", 10**6)
    after = history([experiment(n) for n in range(1, 3 * CHUNK + 5)], {}, "min", 10**6)
    assert after.chunks[: len(before.chunks)] == before.chunks
    assert (len(before.chunks), len(after.chunks)) == (2, 3)
    assert before.older == ""


def test_an_experiment_that_is_judged_late_does_not_change_what_was_said() -> None:
    early = [experiment(n) for n in range(1, CHUNK + 2) if n != 5]
    late = [*early, experiment(5, judged_at=1000.0)]
    assert history(late, {}, "min", 10**6).chunks[0] == history(early, {}, "min", 10**6).chunks[0]
    assert history(late, {}, "min", 10**6).newest.endswith("| idea 5")


@pytest.mark.parametrize("tokens", [0, 500, 3_000, 12_000])
def test_what_does_not_fit_is_summarised_and_the_rest_is_within_the_budget(tokens: int) -> None:
    past = [experiment(n, category=("optimizer", "schedule")[n % 2], delta=-0.001 * (n % 7)) for n in range(1, 1001)]
    told = history(past, {}, "min", tokens)
    assert sum(estimate(chunk) for chunk in told.chunks) <= tokens + 50
    assert "optimizer: " in told.older
    assert "Near misses: #" in told.older
    if tokens >= 3_000:
        assert told.newest.endswith("idea 1000") or told.chunks[-1].endswith("idea 1000")


def test_an_old_veto_is_still_told_when_its_experiment_is_summarised() -> None:
    past = [experiment(n, delta=-0.001) for n in range(1, 1001)]
    past[6] = experiment(
        7, state=State.VETOED, verdict=None, delta=None, judged_at=None, decided_at=7.0, title="Warmer"
    )
    said = Review(
        1, 7, Decision.VETO, "the schedule is settled", "sha", None, None, None, None, "anna", Via.TUI, "", 7.0, None
    )
    told = history(past, {7: [said]}, "min", 6_000)
    assert "#7 Warmer (the schedule is settled)" in told.older
    assert "#7 " not in "".join(told.chunks)


def test_the_lineage_keeps_the_newest_and_counts_the_rest() -> None:
    past = [experiment(n, verdict=Verdict.KEEP, delta=-0.01) for n in range(1, 101)]
    text = lineage(past, "min", 500)
    assert text.startswith("(")
    assert text.endswith("idea 100")
    assert estimate(text) < 600


# ---- questions -------------------------------------------------------------------------------------------------------


def test_misses_are_counted_from_the_last_keep() -> None:
    past = [experiment(1), experiment(2, verdict=Verdict.KEEP), experiment(3), experiment(4, verdict=Verdict.VOID)]
    assert misses([*past, experiment(5, verdict=Verdict.CRASHED)]) == 2
    assert demand(past, "min", 2) == ""


def test_only_a_crash_of_our_own_is_repaired_and_only_once() -> None:
    crash = experiment(1, verdict=Verdict.CRASHED)
    assert to_repair([crash]) == crash
    assert to_repair([replace(crash, key="")]) is None
    repair = experiment(2, verdict=Verdict.CRASHED, key='{"source":"claude","repairs":1}')
    assert to_repair([crash, repair]) is None
    assert to_repair([crash, *[experiment(n) for n in range(2, 40)]]) is None


# ---- caps and money --------------------------------------------------------------------------------------------------


def test_money_is_counted_by_kind_of_token() -> None:
    prices = Prices(input=3, output=15, cache_read=0.3, cache_write=6)
    assert cost(Usage(1_000_000, 100_000, 2_000_000, 500_000), prices) == pytest.approx(3 + 1.5 + 0.6 + 3)
    assert cost(Usage(5, 5), None) is None


def test_a_cap_says_which_key_raises_it_and_waits_for_the_next_day() -> None:
    noon = 1_700_000_000.0
    cap = used_up(Caps(tokens_per_day=1_000), lambda since: (1_200, 0.0), noon)
    assert cap is not None
    assert 0 < cap.wait <= 86_400
    error = cap.error()
    assert error.state == "waiting"
    assert "1,000 tokens a day is used up (1,200 used)" in error.message
    assert "researcher.caps.tokens_per_day" in error.hint


def test_the_lab_and_the_day_are_counted_apart() -> None:
    spent = {0.0: (9_000, 9.0)}
    caps = Caps(tokens_per_day=5_000, money_per_lab=8.0)
    cap = used_up(caps, lambda since: spent.get(since, (100, 0.1)), 1_700_000_000.0)
    assert cap is not None
    assert cap.key == "money_per_lab"
    assert used_up(Caps(), lambda since: (10**9, 10**9), 0.0) is None


def test_what_was_read_from_the_cache_does_not_count_against_a_cap() -> None:
    assert not over(Caps(tokens_per_proposal=1_000), Usage(100, 100, 50_000, 100), None)
    assert "it used 1,100 tokens" in over(Caps(tokens_per_proposal=1_000), Usage(500, 500, 0, 100), None)
    assert "it cost 2.00" in over(Caps(money_per_proposal=1.5), Usage(), 2.0)


def test_a_cap_on_money_without_prices_is_an_error_of_the_configuration() -> None:
    with pytest.raises(ValueError, match="needs prices"):
        Researcher(caps=Caps(money_per_day=5))
    prices = {"claude-sonnet-5-5": Prices(input=1, output=1, cache_read=1, cache_write=1)}
    assert Researcher(caps=Caps(money_per_day=5), prices=prices)


# ---- words -----------------------------------------------------------------------------------------------------------


@given(st.text())
def test_quoted_text_cannot_close_its_own_marks(text: str) -> None:
    lines = quoted("log", text, 500).split("\n")
    mark = lines[0].split()[1]
    assert lines[-1] == f"</data {mark}>"
    assert fenced("x", text) == fenced("x", text)


def test_long_text_keeps_its_beginning_and_more_of_its_end() -> None:
    short = shortened("a" * 5_000 + "b" * 5_000, 300)
    assert short.startswith("a" * 100)
    assert short.endswith("b" * 200)
    assert "9,700 characters left out" in short


def test_every_tool_is_a_schema_the_api_takes() -> None:
    """JSON Schema 2020-12 as far as it is used here: known types, references that lead somewhere, no empty parts."""

    def check(schema: dict[str, Any], root: dict[str, Any]) -> None:
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/$defs/")
            assert name in root["$defs"]
            return
        assert schema.get("type") in (None, "object", "array", "string", "integer", "number", "boolean", "null")
        assert "type" in schema or "anyOf" in schema
        for part in schema.get("anyOf", ()):
            check(part, root)
        if schema.get("type") == "array":
            check(schema["items"], root)
        for name, part in schema.get("properties", {}).items():
            assert name.isidentifier()
            check(part, root)
        assert set(schema.get("required", ())) <= set(schema.get("properties", {}))

    for tool in tools(eager=True):
        assert tool["name"].isidentifier()
        assert len(tool["description"]) > 40
        schema = tool["input_schema"]
        assert schema["type"] == "object"
        check(schema, schema)
        for part in schema.get("$defs", {}).values():
            check(part, schema)


def test_the_tools_are_the_same_text_each_time_and_strict_enough_to_be_json() -> None:
    assert json.dumps(tools(eager=False)) == json.dumps(tools(eager=False))
    assert [tool["name"] for tool in tools(eager=True)][-1] == "propose"
    assert tools(eager=True)[-1]["eager_input_streaming"] is True
