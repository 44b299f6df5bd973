"""The Researcher screen: what it reads and writes now, the conversation, the notebook, the cost; and its states."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from core.models import Decision, Verdict
from core.requests import Tell
from tests.sample_lab import SampleLab, build
from tests.sample_target import TITLES
from tests.tui.cockpit import Clock, FakeEngine, Human, driven
from tests.tui.golden import is_golden
from tests.tui.research_desk import researched
from tests.tui.researcher_lab import NOW, PRICES, ClaudeLab
from tui.app import AutoresearchApp
from tui.screens.researcher import Researcher
from tui.widgets.growing_pane import follow_top

SIZES = ((80, 24), (120, 36), (160, 50))
WORDS = (
    "A model this small attends too evenly: the entropy of its attention rows stays near the maximum until half of the "
    "budget is gone. A gain of 1.2 sharpens them from the first step on and costs no parameter and no time."
)


@asynccontextmanager
async def on_researcher(
    lab: SampleLab, size: tuple[int, int] = (120, 36), *, engine: bool = True
) -> AsyncIterator[tuple[Human, Researcher]]:
    fake, clock = FakeEngine(lab), Clock()
    if engine:
        await fake.start()
    app = AutoresearchApp(lab.lab, clock=clock, now=lab.now)
    try:
        async with driven(app, size) as pilot:
            human = Human(app, pilot, lab, fake, clock)
            await human.until(lambda: human.review.lab.alive is not None, "the engine's answer")
            await human.press("8")
            await human.until(lambda: isinstance(human.app.screen, Researcher), "the Researcher screen")
            screen = human.app.screen
            assert isinstance(screen, Researcher)
            await human.until(lambda: screen.found.spending, "what it used")
            await human.pilot.pause()
            yield human, screen
    finally:
        await fake.stop()


@pytest.fixture(autouse=True)
def the_clocks_of_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def lab(tmp_path: Path) -> ClaudeLab:
    lab = ClaudeLab(tmp_path / "lab")
    lab.works()
    return lab


# ---- what it does now ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_the_screen_is_as_it_was_read_and_approved(lab: ClaudeLab, size: tuple[int, int]) -> None:
    lab.note("thinking", f"writes “Sharpen QK-norm” · 24,310 tokens\n{WORDS}\n\n{WORDS}", seconds=42)
    async with on_researcher(lab, size) as (human, _):
        await human.sees("sharpens them")
        shown = f"{human.screen}\n"
    is_golden(f"researcher-{size[0]}x{size[1]}.txt", shown)


async def test_the_text_it_writes_is_wrapped_over_many_lines_with_time_and_tokens(lab: ClaudeLab) -> None:
    lab.note("thinking", f"writes “Sharpen QK-norm” · 24,310 tokens\n{WORDS}", seconds=42)
    async with on_researcher(lab, (80, 24)) as (human, _):
        await human.sees("▶ at work     42s   24,310 tokens  writes “Sharpen QK-norm”")
        rows = [line for line in human.screen.split("\n") if line.strip() and line.strip() in f"{WORDS} "]
        assert len(rows) >= 3
        assert " ".join(row.strip() for row in rows) == WORDS


async def test_what_it_looks_at_is_listed_until_it_writes_for_another_question(lab: ClaudeLab) -> None:
    lab.note("thinking", "reads train.py · 900 tokens", seconds=3)
    async with on_researcher(lab, (80, 24)) as (human, screen):
        await human.sees("· reads train.py")
        lab.note("thinking", "asks the record · 1,900 tokens", seconds=3)
        await human.sees("· asks the record")
        assert "· reads train.py" in human.screen
        lab.note("thinking", f"writes “x” · 2,000 tokens\n{WORDS}", seconds=3)
        await human.sees("A model this small")
        assert "· asks the record" in human.screen
        lab.note("thinking", "reading the record", seconds=1)
        await human.sees("· reading the record")
        assert "reads train.py" not in human.screen
        assert screen.read == ["reading the record"]


async def test_the_pane_follows_the_text_until_somebody_scrolls_up_and_g_follows_again(lab: ClaudeLab) -> None:
    lines = [f"line {number}" for number in range(400)]
    lab.note("thinking", "thinks aloud\n" + "\n".join(lines[:50]), seconds=5)
    async with on_researcher(lab, (80, 24)) as (human, screen):
        await human.sees("line 49")
        assert "line 10 " not in f"{human.screen} "
        await human.press("g")
        await human.sees("line 0")
        lab.note("thinking", "thinks aloud\n" + "\n".join(lines[:70]), seconds=5)
        await human.sees("G follows the text again")
        assert "line 69" not in human.screen
        await human.press("G")
        await human.sees("line 69")
        lab.note("thinking", "thinks aloud\n" + "\n".join(lines[:120]), seconds=5)
        await human.sees("line 119")
        assert screen.writing.at_end


@pytest.mark.parametrize("height", [1, 2, 9, 40])
def test_the_last_row_is_always_in_view_and_most_rows_stay_where_they_are(height: int) -> None:
    tops = [follow_top(rows, height) for rows in range(200)]
    assert all(rows - height <= top < max(rows, 1) for rows, top in enumerate(tops))
    assert len(set(tops)) <= 2 + 200 // max(height * 3 // 4, 1)


async def test_a_ready_researcher_says_what_it_waits_for(lab: ClaudeLab) -> None:
    async with on_researcher(lab, (80, 24)) as (human, _):
        await human.sees("· ready")
        await human.sees("1 waits for a review, 0 approved.")
        assert f"? #2 waits {TITLES[2]}" in human.screen
        assert f"✓ #1 kept {TITLES[0]}" in human.screen
        assert "12m ago: tried again after 4.0s: api.anthropic.com: overloaded" in human.screen


@pytest.mark.parametrize(
    ("state", "words", "says"),
    [
        (
            "error",
            "there is no key for Claude; trying again in 5m00s\nexport ANTHROPIC_API_KEY=…",
            ("✗ failed", "tries again in 5m00s", "there is no key for Claude", "→ export ANTHROPIC_API_KEY=…",
             "It tries again by itself."),
        ),
        (
            "waiting",
            "the cap of 80,000 tokens a day is used up (82,170 used)\nraise researcher.caps.tokens_per_day",
            ("! waits", "the cap of 80,000 tokens a day is used up", "→ raise researcher.caps.tokens_per_day",
             "nothing is lost"),
        ),
        ("dry", "has nothing more to propose", ("○ has run dry", "→ i gives it an idea", "researcher.kind")),
    ],
)  # fmt: skip
async def test_a_researcher_that_stands_still_says_why_and_what_to_do(
    lab: ClaudeLab, state: str, words: str, says: tuple[str, ...]
) -> None:
    lab.note(state, words, wait=300 if state != "dry" else 0)
    async with on_researcher(lab, (80, 24)) as (human, _):
        await human.sees(says[0])
        seen = " ".join(human.screen.split())
        assert not [part for part in says if part not in seen], human.screen


async def test_a_pause_between_two_tries_is_counted_down(lab: ClaudeLab) -> None:
    lab.note("thinking", "api.anthropic.com: overloaded; try 2 in 16s", seconds=20, wait=16)
    async with on_researcher(lab, (80, 24)) as (human, _):
        await human.sees("goes on in 16s")


async def test_who_stands_in_for_it_is_named_and_what_that_one_has_left(lab: ClaudeLab) -> None:
    lab.note("idle", "", instead="the offline researcher proposes meanwhile: api.anthropic.com: overloaded")
    async with on_researcher(lab) as (human, _):
        await human.sees("the offline researcher proposes meanwhile")
        await human.sees("Constants it searches")


async def test_without_an_engine_nobody_proposes_and_the_screen_says_so(lab: ClaudeLab) -> None:
    async with on_researcher(lab, (80, 24), engine=False) as (human, _):
        await human.sees("○ stopped with the engine")
        await human.sees("The engine is not running: nobody proposes.")
        await human.press("m")
        await human.is_told("the engine is not running")


async def test_a_lab_whose_engine_never_ran_says_what_will_stand_here(tmp_path: Path) -> None:
    lab = build(tmp_path / "lab", "empty", now=lambda: NOW)
    lab.writer.db.execute("DELETE FROM settings WHERE key = 'researcher'")
    async with on_researcher(lab, (80, 24)) as (human, _):
        await human.sees("– no researcher has worked here yet")
        await human.sees("what its researcher reads and writes stands")


# ---- the conversation ----------------------------------------------------------------------------------------------


async def test_messages_name_the_proposal_that_answered_them_and_those_that_wait(lab: ClaudeLab) -> None:
    async with on_researcher(lab, (80, 24)) as (human, _):
        await human.press("tab")
        await human.sees("Half the heads, twice as wide.")
        assert "2 not answered" in human.screen
        assert human.screen.count("? not answered yet: the next proposal answers it") == 2
        assert "ben, 2m ago, message" in human.screen
        assert f"→ #2 {TITLES[2]}  ? waits" in human.screen
        rows = human.screen.split("\n")
        assert rows.index(" Half the heads, twice as wide.") < rows.index(" Leave the evaluation alone.")


@pytest.mark.parametrize(("key", "kind"), [("m", "message"), ("i", "idea")])
async def test_a_message_or_an_idea_is_written_from_here(lab: ClaudeLab, key: str, kind: str) -> None:
    async with on_researcher(lab, (80, 24)) as (human, screen):
        await human.press(key)
        await human.types("wider heads")
        await human.press("enter")
        await human.is_told("the researcher has it")
        assert human.asked == [Tell("wider heads", kind=kind)]
        await human.press("tab")
        await human.sees("wider heads")
        assert human.app.screen is screen


async def test_a_message_that_was_begun_is_there_again_on_the_review_screen(lab: ClaudeLab) -> None:
    async with on_researcher(lab, (80, 24)) as (human, _):
        await human.press("m")
        await human.types("half a thought")
        await human.press("escape", "1")
        await human.until(lambda: human.app.screen is human.review, "the Review screen")
        await human.press("m")
        await human.sees("half a thought")


# ---- notebook, cost ------------------------------------------------------------------------------------------------


async def test_what_the_model_remembers_is_read_newest_first(lab: ClaudeLab) -> None:
    async with on_researcher(lab, (80, 24)) as (human, _):
        await human.press("tab", "tab")
        await human.sees("2 notes")
        rows = human.screen.split("\n")
        assert rows.index(" 12m ago: The window matters more than the softcap.") < rows.index(
            " 45m ago: Warm-up below 0.01 diverges at this batch."
        )


async def test_tokens_cache_and_money_are_told(lab: ClaudeLab) -> None:
    async with on_researcher(lab, (80, 24)) as (human, _):
        await human.press("shift+tab")
        await human.sees("claude-scripted")
        seen = [" ".join(line.split()) for line in human.screen.split("\n")]
        for words in (
            "prompt, anew 4,000 4,000", "into the cache 21,700 21,700", "from the cache 21,000 21,000",
            "written by it 3,900 3,900", "prompt from cache 45% 45%", "0.21 in all, 0.21 today",
            "0.21 an experiment (1 judged)", "0.21 a kept change (1 kept)", "today 29,600 tokens, no cap",
        ):  # fmt: skip
            assert words in seen, (words, human.screen)


async def test_a_cap_that_is_used_up_says_so(tmp_path: Path) -> None:
    lab = ClaudeLab(
        tmp_path / "lab", config=f"{PRICES}\n[researcher.caps]\ntokens_per_day = 20000\nmoney_per_lab = 1.0\n"
    )
    lab.works()
    async with on_researcher(lab, (80, 24)) as (human, _):
        await human.press("shift+tab")
        await human.sees("100% 29,600 of 20,000")
        assert "used up: proposing pauses; raise it in [researcher.caps]" in human.screen
        assert "21% 0.21 of 1.00" in human.screen


async def test_without_prices_tokens_are_counted_and_the_key_that_sets_them_is_named(tmp_path: Path) -> None:
    lab = ClaudeLab(tmp_path / "lab", config='[researcher]\nmodel = "claude-scripted"\n')
    lab.uses(2_100, 1_500, 0, 0, cost=None, minutes=3)
    async with on_researcher(lab, (80, 24)) as (human, _):
        await human.press("shift+tab")
        await human.sees("No prices are set")
        assert '[researcher.prices."claude-scripted"]' in human.screen


async def test_a_configuration_that_cannot_be_read_is_said_and_the_rest_is_shown(lab: ClaudeLab) -> None:
    lab.lab.config_file.write_text("[researcher\n")
    async with on_researcher(lab, (80, 24)) as (human, _):
        await human.press("shift+tab")  # where the line is broken is a matter of the path's length
        await human.until(lambda: "is not valid TOML" in " ".join(human.screen.split()), "what is wrong with the file")
        assert "29,600 tokens, no cap" in human.screen


async def test_the_offline_researcher_tells_its_ideas_its_search_and_what_it_learned(tmp_path: Path) -> None:
    lab = researched(tmp_path)
    experiment = lab.proposes("COOLDOWN 0.4 → 0.55", (("COOLDOWN = 0.4\n", "COOLDOWN = 0.55\n"),))
    key = '{"source":"constants","file":"train.py","set":{"COOLDOWN":0.55},"from":{"COOLDOWN":0.4}}'
    lab.writer.db.execute("UPDATE experiments SET key = ? WHERE id = ?", (key, experiment))
    lab.decides(experiment, Decision.APPROVE)
    lab.judges(experiment, Verdict.DISCARD, delta=0.0021)
    async with on_researcher(lab, (80, 50)) as (human, screen):
        await human.sees("No ANTHROPIC_API_KEY is set")
        await human.until(lambda: screen.learned, "its ideas")
        await human.press("tab", "tab")
        await human.sees("left of 33")
        assert "Constants it searches" in human.screen
        assert f"· COOLDOWN 0.4 → 0.55: +0.0021 (#{experiment})" in human.screen
        assert "Passed over" in human.screen
        await human.press("tab")
        await human.sees("The offline researcher asks no model and costs nothing.")
    lab.close()


async def test_before_there_is_a_champion_it_says_when_it_looks_at_its_ideas(tmp_path: Path) -> None:
    lab = build(tmp_path / "lab", "empty", now=lambda: NOW)
    async with on_researcher(lab, (80, 24)) as (human, _):
        await human.press("tab", "tab")
        await human.sees("No champion yet")
        await human.press("shift+tab")
        await human.sees("Nothing was said yet: m tells it something")
    lab.close()


# ---- finding the way -----------------------------------------------------------------------------------------------


async def test_words_are_found_in_a_pane_and_esc_ends_the_search(lab: ClaudeLab) -> None:
    for number in range(40):
        lab.remembers(f"note {number}: {'softcap' if number % 10 == 0 else 'window'}", minutes=5)
    async with on_researcher(lab, (80, 24)) as (human, screen):
        await human.press("n")
        await human.is_told("nothing is being sought")
        await human.press("tab", "tab", "slash")
        await human.types("note 1: window")
        await human.press("enter")
        await human.sees("note 1: window")
        await human.press("p", "n", "slash", "ctrl+u")
        await human.types("nowhere")
        await human.press("enter")
        await human.is_told("not found in this pane: nowhere")
        await human.press("escape")
        assert screen.pane == "now"
        assert human.app.screen is screen


async def test_letters_typed_into_the_search_do_nothing_else(lab: ClaudeLab) -> None:
    async with on_researcher(lab) as (human, screen):
        await human.press("slash")
        await human.types("m i q 5 9 z")
        await human.press("escape")
        assert human.asked == []
        assert human.app.screen is screen
        assert not screen.zoomed


async def test_panes_are_gone_through_with_tab_and_zoomed(lab: ClaudeLab) -> None:
    async with on_researcher(lab) as (human, screen):
        assert all(screen.query_one(f"#{pane}").is_on_screen for pane in ("now", "talk", "notebook", "cost"))
        await human.press("tab", "tab", "tab", "z")
        assert not screen.query_one("#now").is_on_screen
        assert screen.query_one("#cost").is_on_screen
        await human.press("j", "ctrl+d", "pagedown", "G", "g", "k", "ctrl+u", "pageup")
        await human.press("escape", "escape")
        assert screen.pane == "now"
        await human.press("escape")
        await human.until(lambda: human.app.screen is human.review, "the way back")


async def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    bad = "[/] [b]x[/b] [@click=app.quit]y[/] \x1b]52;c;aGk=\x07 \x9b6n \u202eesrever\u202c a\u200bb"
    lab = ClaudeLab(tmp_path / "lab")
    lab.told(bad, minutes=1, actor=bad)
    lab.remembers(bad, minutes=1)
    lab.happened("researcher_failed", minutes=1, error=bad, hint=bad)
    lab.proposes(bad, author=bad)
    for state in ("idle", "thinking", "error"):
        lab.note(state, f"{bad}\n{bad}", instead=bad)
        async with on_researcher(lab) as (human, screen):
            await human.sees("[@click=app")
            await human.press("tab", "z", "tab", "tab")
            assert not {"\x1b", "\x07", "\x9b", "\u202e", "\u200b"} & set(human.screen)
            assert human.app.screen is screen
    lab.close()


async def test_a_terminal_too_small_says_so(lab: ClaudeLab) -> None:
    async with on_researcher(lab) as (human, screen):
        await human.pilot.resize_terminal(50, 12)
        await human.sees("too small: 50×12")
        await human.press("m")
        assert human.app.screen is screen


async def test_help_has_the_keys_of_this_screen_and_the_palette_sends_a_message(lab: ClaudeLab) -> None:
    async with on_researcher(lab) as (human, _):
        await human.press("question_mark")
        await human.sees("Tell the researcher something")
        assert "Never run it" not in human.screen
        await human.press("escape", "colon")
        await human.types("message")
        await human.press("enter")
        await human.sees("A message to the researcher")


async def test_a_lab_that_stands_still_repaints_nothing(lab: ClaudeLab) -> None:
    async with on_researcher(lab, (80, 24)) as (human, screen):
        drawn: list[object] = []
        for widget in screen.walk_children():
            widget.refresh = lambda *regions, **options: drawn.append(regions)  # type: ignore[method-assign, assignment]
        screen._tick()
        screen.lab_changed(human.app.client.snapshot)
        await human.pilot.pause(0.1)
        assert drawn == []
