"""Every state of a lab says what is the case and names the next key; a few whole screens are kept as text.

After a change that is meant: UPDATE_GOLDENS=1 pytest tests/tui/test_review_states.py, then read the difference.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from core.models import Autonomy, Decision, Purpose
from tests.sample_lab import STATES, SampleLab
from tests.tui.cockpit import cockpit
from tests.tui.golden import is_golden
from tui.research import Research
from tui.snapshot import LabNote, PreparationNote, ResearcherNote, Snapshot
from tui.widgets.states import notice
from tui.widgets.writing import writing

SAYS = {
    "waiting": ("WAITS FOR YOU", "1 of 3", "offline researcher", "sandbox A", "MANUAL", "11s left", "a approve"),
    "empty": ("This lab is new", "No ANTHROPIC_API_KEY is set", "No GPU was found", "i gives the researcher an idea"),
    "preparing": ("Preparing the data: packing tokens", "39%"),
    "preparation_failed": ("shard 3 is cut short", "remove it; P tries again"),
    "measuring": ("measure the noise", "thinking 12s: reading train.py", "3 shows its curve"),
    "thinking": ("researcher: thinking 42s: fitting the search", "nothing waits for you"),
    "compiling": ("compiling", "its time does not count", "K stops it"),
    "crashed": ("#1 CRASHED", "Traceback (most recent call last)", "RuntimeError: The size of tensor", "4 shows the"),
    "diverged": ("#1 DIVERGED", "NaN from step 96"),
    "timeout": ("#1 TIMED OUT", "longer than 4 times"),
    "killed": ("#1 VOID", "stopped by you"),
    "better": ("#1 KEPT, better", "Δ -0.0093 [-0.0123 … -0.0063]"),
    "worse": ("#1 DISCARDED, worse", "Δ +0.0061 [+0.0031 … +0.0091]"),
    "noise": ("#1 INCONCLUSIVE, within the noise", "Δ -0.0004 [-0.0034 … +0.0026]"),
    "stale": ("The patch cannot run: the champion has changed", "r sends it back"),
    "hostile": ("The patch cannot run", "U+001B"),
}


def test_every_state_of_the_sample_lab_is_looked_at() -> None:
    assert set(SAYS) == set(STATES)


@pytest.mark.parametrize("state", SAYS)
async def test_a_state_says_what_is_the_case_and_what_to_do(tmp_path: Path, state: str) -> None:
    async with cockpit(tmp_path, state, size=(100, 30)) as human:
        for words in SAYS[state]:
            await human.until(lambda words=words: words in " ".join(human.screen.split()), repr(words))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("state", "size", "keys"),
    [
        ("waiting", (80, 24), ""),
        ("waiting", (80, 24), "2"),
        ("waiting", (120, 36), "41"),  # the log in the place of the curves, which have tests of their own
        ("waiting", (160, 50), "41"),
        ("empty", (80, 24), ""),
        ("crashed", (80, 24), ""),
    ],
)
async def test_the_screen_is_as_it_was_read_and_approved(
    tmp_path: Path, state: str, size: tuple[int, int], keys: str
) -> None:
    async with cockpit(tmp_path, state, size=size) as human:
        diff = human.review.panes.diff
        if keys:
            await human.press(*keys)
            await human.pilot.pause(0.1)
        if diff.hunks and "diff" in human.review.panes.in_sight:
            bottom = diff.scroll_offset.y + diff.size.height
            ends = [index for index in range(diff.hunks) if _last_row(diff, index) < bottom]
            await human.until(lambda: set(ends) <= diff.seen, "the hunks to be seen")
        if "log" in human.review.panes.in_sight:
            await human.sees("step 00130")
        await human.pilot.pause(0.1)
        shown = f"{human.screen}\n"
    is_golden(f"{state}-{size[0]}x{size[1]}{'-' if keys else ''}{keys}.txt", shown)


def _last_row(diff: object, hunk: int) -> int:
    lines = [n for n, pair in enumerate(diff._lines) if any(row and row.hunk == hunk for row in pair[:2])]  # type: ignore[attr-defined]
    return max(lines)


async def test_how_far_a_run_is_stands_on_the_screen_once(tmp_path: Path) -> None:
    async with cockpit(tmp_path, "waiting") as human:
        run = human.review.lab.run
        assert run is not None
        assert run.phase == "training"
        assert run.experiment_id is not None
        human.review.open(run.experiment_id)
        await human.sees("is running")
        assert human.screen.count("55%") == 1


async def test_where_something_was_proposed_before_no_first_proposal_is_promised(tmp_path: Path) -> None:
    async with cockpit(tmp_path, "worse") as human:
        note = ResearcherNote(state="thinking", kind="offline")
        lab = replace(human.review.lab, researcher=note, lab=LabNote(profile="test"))
        said = notice(lab, None, now=lab.at, can_start=True)
    assert said is not None
    assert said.title == "Nothing waits for a review."
    assert "The next proposal comes up here by itself." in said.lines
    assert any("the small test profile" in line for line in said.lines)


def test_what_is_wrong_in_the_configuration_is_read_again_by_the_next_engine() -> None:
    failed = PreparationNote(state="failed", error="no profile 'tset'", hint="target.profile in autoresearch.toml")
    said = notice(Snapshot(preparation=failed), None, now=0.0, can_start=True)
    assert said is not None
    assert "autoresearch-tui stop LAB" in said.next


def test_what_the_researcher_does_next_is_not_guessed_before_the_configuration_is_read() -> None:
    lab = Snapshot(researcher=ResearcherNote(state="idle", kind="offline"))
    assert "writes the next one" not in writing(lab, Research(), (), can_start=True).plain


# ---- the engine and the record -------------------------------------------------------------------------------------


async def test_a_lab_without_an_engine_says_what_is_safe_and_starts_it_with_a_key(tmp_path: Path) -> None:
    async with cockpit(tmp_path, engine=False, start_engine=lambda: None) as human:
        await human.sees("The engine is not running: decisions have to wait.")
        assert "Nothing is lost" in human.screen
        assert "S starts it" in human.screen
        assert "engine DOWN" in human.screen
        await human.press("S")
        await human.sees("engine starting")


async def test_without_a_way_to_start_an_engine_the_command_is_named(tmp_path: Path) -> None:
    async with cockpit(tmp_path, engine=False) as human:
        await human.sees("autoresearch-tui LAB starts it")
        await human.press("S")
        await human.is_told("start it from a shell")


async def test_a_lab_whose_database_is_still_to_be_made_waits_for_it(tmp_path: Path) -> None:
    def nothing_yet(lab: SampleLab) -> None:
        lab.writer.close()
        for path in lab.lab.root.glob("lab.db*"):
            path.rename(path.with_name(f"later-{path.name}"))

    async with cockpit(tmp_path, nothing_yet) as human:
        await human.sees("The engine is making the lab's database")
        for path in human.lab.lab.root.glob("later-*"):
            path.rename(path.with_name(path.name.removeprefix("later-")))
        await human.sees("This lab is new")


async def test_a_damaged_database_is_said_in_words_and_read_again_when_it_is_mended(tmp_path: Path) -> None:
    async with cockpit(tmp_path) as human:
        human.lab.writer.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database = human.lab.lab.database
        shutil.copy(database, tmp_path / "good.db")
        human.app.client._forget()
        database.write_bytes(b"this is no database" * 1000)
        await human.sees("is damaged")
        assert "backups" in human.screen
        await human.press("a")
        assert human.asked == []
        database.write_bytes((tmp_path / "good.db").read_bytes())
        await human.until(lambda: not human.review.lab.problem)


async def test_a_lab_of_a_newer_program_is_shown_and_not_touched(tmp_path: Path) -> None:
    def newer(lab: SampleLab) -> None:
        STATES["waiting"](lab)
        lab.writer.db.execute("PRAGMA user_version=99")

    async with cockpit(tmp_path, newer) as human:
        await human.sees("Read-only: a newer autoresearch-tui wrote this lab")
        await human.press("a")
        await human.is_told("upgrade to decide")
        assert human.asked == []


@pytest.mark.parametrize(("level", "words"), [(Autonomy.GUARDED, "GUARDED"), (Autonomy.FULL, "FULL AUTO")])
async def test_the_dial_is_said_in_words(tmp_path: Path, level: Autonomy, words: str) -> None:
    async with cockpit(tmp_path, size=(80, 24)) as human:
        human.lab.writer.set("autonomy", level)
        await human.sees(words)


@pytest.mark.parametrize(("tier", "words"), [("B", "sandbox B"), ("C", "NO SANDBOX")])
async def test_the_sandbox_is_said_in_words(tmp_path: Path, tier: str, words: str) -> None:
    async with cockpit(tmp_path, size=(80, 24)) as human:
        human.lab.writer.set("sandbox", {"tier": tier, "detail": ""})
        await human.sees(words)


@pytest.mark.parametrize("size", [(40, 10), (59, 24), (80, 15)])
async def test_a_terminal_too_small_to_read_in_decides_nothing(tmp_path: Path, size: tuple[int, int]) -> None:
    async with cockpit(tmp_path, size=size) as human:
        await human.sees("too small")
        await human.press("a", "d", "v", "K", "A", "colon")
        assert human.asked == []
        assert human.app.screen is human.review
        await human.press("q")
    assert human.app.return_value is not None


async def test_a_resize_keeps_what_was_being_read(tmp_path: Path) -> None:
    async with cockpit(tmp_path, size=(160, 50)) as human:
        await human.press("n", "space")
        for size in ((80, 24), (40, 10), (120, 36)):
            await human.pilot.resize_terminal(*size)
            await human.pilot.pause()
        await human.sees("1 OUT")
        assert human.review.panes.diff.kept == {0, 2}


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
async def test_hostile_text_is_shown_and_obeyed_nowhere(tmp_path: Path, size: tuple[int, int]) -> None:
    async with cockpit(tmp_path, "hostile", size=size) as human:
        for keys in ("2", "3", "4", "0", "1", "question_mark", "escape", "v", "escape", "e", "escape", "A", "escape"):
            await human.press(keys)
            found = re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e]", human.screen)
            assert found == [], f"after {keys}"
        experiment = human.lab.proposes("[/]\x1b]0;title\x07")
        await human.until(lambda: human.review.lab.by_id.get(experiment))
        await human.press("d")
        await human.pilot.pause()


async def test_a_run_of_the_champion_itself_is_named(tmp_path: Path) -> None:
    def confirming(lab: SampleLab) -> None:
        lab.baseline()
        lab.trains(lab.starts(None, purpose=Purpose.RETEST, seed=7), 0.5)

    async with cockpit(tmp_path, confirming) as human:
        await human.sees("confirmation training")


@pytest.mark.parametrize(
    ("purpose", "words"),
    [(Purpose.NULL, "which measure the noise"), (Purpose.RETEST, "runs that confirm earlier ones go first")],
)
async def test_an_approved_experiment_says_what_it_waits_for(tmp_path: Path, purpose: Purpose, words: str) -> None:
    def approved(lab: SampleLab) -> None:
        lab.baseline()
        lab.decides(lab.proposes(), Decision.APPROVE)
        lab.trains(lab.starts(None, purpose=purpose, seed=1), 0.5)

    async with cockpit(tmp_path, approved, size=(160, 36)) as human:
        await human.sees(words)


async def test_while_a_model_writes_the_end_of_its_text_stands_wrapped_and_the_rows_before_it_stay(
    tmp_path: Path,
) -> None:
    text = "\n".join(f"line {number}: a gain sharpens the attention from the first step on" for number in range(30))

    def writes(lab: SampleLab) -> None:
        lab.baseline()
        lab.says("thinking", f"writes “Sharper” · 1,200 tokens\n{text}", kind="claude", seconds=5, key_missing=False)

    async with cockpit(tmp_path, writes, size=(80, 24)) as human:
        await human.sees("│ line 29: a gain sharpens the attention")
        assert "line 20:" not in human.screen
        assert "thinking 5s: writes “Sharper” · 1,200 tokens" in " ".join(human.screen.split())
        assert "8 shows all it writes" in " ".join(human.screen.split())
        before = [line for line in human.screen.split("\n") if "│ line" in line]
        more = f"{text}\nline 30: and so on"
        human.lab.says("thinking", f"writes “Sharper” · 1,300 tokens\n{more}", kind="claude", seconds=5)
        await human.sees("│ line 30: and so on")
        rows = [line for line in human.screen.split("\n") if "│ line" in line]
        assert rows[: len(before)] == before


async def test_what_a_failed_researcher_needs_is_said_in_whole(tmp_path: Path) -> None:
    def fails(lab: SampleLab) -> None:
        lab.says("error", "there is no key for Claude; trying again in 8.0s\nexport ANTHROPIC_API_KEY=…", kind="claude")

    async with cockpit(tmp_path, fails, size=(80, 24)) as human:
        await human.sees("failed, will try again: there is no key for Claude")
        await human.sees("export ANTHROPIC_API_KEY=…")


@pytest.mark.parametrize(("budget", "words", "axis"), [("seconds:300", "time", 0), ("flops:2e12", "step", 1)])
async def test_curves_are_held_together_by_what_a_budget_is_in(
    tmp_path: Path, budget: str, words: str, axis: int
) -> None:
    """How long the same work takes says how busy the machine is."""
    async with cockpit(tmp_path, size=(80, 24)) as human:
        human.lab.writer.set("profile", {"budget": budget})
        await human.press("3")
        await human.sees(f"the champion at the same {words}")
        assert human.review.panes.chart.axis == axis
        await human.press("x")
        assert human.review.panes.chart.axis == axis + 1
