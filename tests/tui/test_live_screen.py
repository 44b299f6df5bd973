"""The Live screen: what runs now, how far, on what; and why nothing runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.widget import Widget
from textual.widgets import Input

from core.errors import ConfigError
from core.models import Decision, Purpose, RunState, Verdict
from core.requests import Pause, Resume, StopRun
from core.store.rows import Gauge
from tests.sample_lab import SampleLab, hostile
from tests.sample_target import TITLES
from tests.tui.cockpit import Human, cockpit
from tests.tui.golden import is_golden
from tui.keymap import checked
from tui.look import Look
from tui.screens.live import Live
from tui.widgets.chart import Chart
from tui.widgets.gauges import Gauges
from tui.widgets.line import Line
from tui.widgets.log_tail import LogTail

SIZES = ((80, 24), (120, 36), (160, 50))
GIB = 2**30
MOMENT = 2_000_000_000.0
"""later than any clock: telemetry that is old by the machine's own is dropped"""


@asynccontextmanager
async def on_live(
    folder: Path,
    state: str | Callable[[SampleLab], None] = "waiting",
    *,
    size: tuple[int, int] = (120, 36),
    now: Callable[[], float] = lambda: MOMENT,
    **options: Any,
) -> AsyncIterator[tuple[Human, Live]]:
    async with cockpit(folder, state, size=size, now=now, **options) as human:
        await human.press("7")
        await human.until(lambda: isinstance(human.app.screen, Live), "the Live screen")
        screen = human.app.screen
        assert isinstance(screen, Live)
        await human.sees("Live")
        await human.pilot.pause(0.1)
        yield human, screen


def approved(lab: SampleLab, title: str = TITLES[3]) -> int:
    experiment = lab.proposes(title)
    lab.decides(experiment, Decision.APPROVE)
    return experiment


def telemetry(lab: SampleLab, *gauges: Gauge) -> None:
    lab.writer.add_gauges(gauges, run_id=None, keep_seconds=3600)


def gpu(index: int, utilization: float = 97.0, temperature: float = 61.0) -> Gauge:
    return Gauge(f"cuda:{index}", MOMENT, utilization, 44 * GIB, 80 * GIB, 312.0, temperature, 1980.0)


def two_gpus(lab: SampleLab) -> None:
    """Run 4 of #1 trains on the first, run 5 of #2 on the second."""
    lab.baseline()
    lab.writer.set("devices", [{"name": f"cuda:{index}", "class": "H100"} for index in range(2)])
    for index, title in enumerate(TITLES[3:5]):
        run = lab.starts(approved(lab, title), device=f"cuda:{index}")
        lab.trains(run, 0.3 + 0.3 * index)
    telemetry(lab, gpu(0), gpu(1, utilization=88.0, temperature=93.0))


def one_cpu(lab: SampleLab) -> None:
    lab.baseline()
    lab.trains(lab.starts(approved(lab)), 0.55, level=3.15)
    telemetry(lab, Gauge("cpu", MOMENT, 52.0, 3.4 * GIB, 16.0 * GIB, None, None, load=2.1, cores="9910"))


def compiling_for(seconds: float) -> Callable[[SampleLab], None]:
    """A run that the engine has timed: it was created so long ago, and compiles since it started up in two seconds."""

    def story(lab: SampleLab) -> None:
        lab.baseline()
        now, lab.now = lab.now, lambda: MOMENT - seconds - 2.5
        run = lab.starts(approved(lab), phase="compiling")
        lab.now = now
        lab.writer.update_run(run, detail={"seconds": {"queue": 0.5, "start": 2.0, "compile": 0.0}})

    return story


def judged_once(lab: SampleLab) -> None:
    lab.baseline()
    lab.tells(Verdict.DISCARD, 0.0061, TITLES[6], "worse than the champion")


def paused(lab: SampleLab) -> None:
    judged_once(lab)
    lab.writer.set("paused", "disk is full")


def held(lab: SampleLab) -> None:
    judged_once(lab)
    lab.decides(lab.proposes(), Decision.APPROVE, hold=4.0)


def unattended(lab: SampleLab) -> None:
    judged_once(lab)
    lab.proposes()


def first_run(lab: SampleLab) -> None:
    lab.starts(None, purpose=Purpose.BASELINE)


def baseline_only(lab: SampleLab) -> None:
    lab.trains(lab.starts(None, purpose=Purpose.BASELINE), 0.3)


# ---- what is there -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_curves_phases_devices_and_log_are_within_reach_at_every_size(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async with on_live(tmp_path, one_cpu, size=size) as (human, _):
        await human.sees("#1 loss  dotted: champion")
        for words in ("▶  55%", "▶ training", "left", "lr ", "grad_norm ", "tokens_per_s ", "run 4"):
            assert words in human.screen, words
        if size[0] < 100:
            assert "compiling..." not in human.screen
            await human.press("tab")
            await human.sees("load     2.1 on 4 cores")
            await human.press("tab")
            await human.sees("compiling...")
        else:
            assert "compiling..." in human.screen
            assert "load     2.1 on 4 cores" in human.screen


@pytest.mark.parametrize(
    ("name", "state", "size", "keys"),
    [
        ("live", one_cpu, (80, 24), ()),
        ("live-devices", one_cpu, (80, 24), ("tab",)),
        ("live-crashed", "crashed", (80, 24), ("shift+tab",)),
        ("live-empty", "empty", (80, 24), ()),
        ("live", one_cpu, (120, 36), ()),
        ("live-two-gpus", two_gpus, (120, 36), ("h",)),
        ("live-idle", unattended, (120, 36), ()),
        ("live", one_cpu, (160, 50), ("c",)),
    ],
)
async def test_the_screen_is_as_it_was_looked_at(
    tmp_path: Path,
    name: str,
    state: str | Callable[[SampleLab], None],
    size: tuple[int, int],
    keys: tuple[str, ...],
) -> None:
    async with on_live(tmp_path, state, size=size) as (human, screen):
        await human.until(lambda: screen.run is None or screen.names or screen.run.phase != "training", "the curves")
        await human.press(*keys)
        screen.draw()
        screen.drawing.words()
        await human.until(
            lambda: not any(chart._stale for chart in screen.query(Chart) if chart._visible), "the charts"
        )
        await human.pilot.pause(0.1)
        shown = f"{human.screen}\n"
    is_golden(f"{name}-{size[0]}x{size[1]}.txt", shown)


async def test_a_processor_alone_has_its_cores_and_no_row_of_a_gpu(tmp_path: Path) -> None:
    async with on_live(tmp_path, one_cpu) as (human, screen):
        await human.sees("cores   ██▁▁")
        rows = [screen.query_one(Gauges).render_line(y).text for y in range(screen.query_one(Gauges).size.height)]
        assert len(rows) == 4
        assert not [word for word in ("cuda", "W", "°C", "MHz", "–") if word in " ".join(rows)]


async def test_every_gpu_has_its_rows_with_power_temperature_and_clock(tmp_path: Path) -> None:
    async with on_live(tmp_path, two_gpus) as (human, _):
        await human.sees("cuda:1")
        assert "312 W   61 °C  1980 MHz" in human.screen
        assert "93 °C hot" in human.screen
        assert "44.0/80.0 GiB" in human.screen


# ---- phases and time left ------------------------------------------------------------------------------------------


async def test_phases_say_what_they_took_and_the_present_one_goes_on(tmp_path: Path) -> None:
    clock = [MOMENT]
    async with on_live(tmp_path, compiling_for(20.0), now=lambda: clock[0]) as (human, _):
        await human.sees("▶ compiling      20s")
        assert "✓ starting      2.0s" in human.screen
        assert "· evaluating" in human.screen
        clock[0] += 5.0
        await human.sees("▶ compiling      25s")


async def test_time_left_says_what_it_rests_on(tmp_path: Path) -> None:
    async with on_live(tmp_path, one_cpu) as (human, screen):
        await human.sees("about 13s left")
        assert "by its pace and the champion's evaluation" in human.screen
        assert screen.run is not None
        human.lab.writer.update_run(screen.run.id, phase="evaluating", progress=1.0)
        await human.sees("▶ evaluating")
        await human.sees("by the champion's evaluation")


async def test_before_training_the_champions_whole_run_says_it(tmp_path: Path) -> None:
    async with on_live(tmp_path, compiling_for(20.0)) as (human, _):
        await human.sees("by all that the champion's run took")


async def test_nothing_is_said_where_the_time_left_cannot_be_known(tmp_path: Path) -> None:
    async with on_live(tmp_path, first_run) as (human, _):
        await human.sees("▶ starting")
        assert "left" not in human.screen


async def test_an_engine_that_is_down_estimates_nothing(tmp_path: Path) -> None:
    async with on_live(tmp_path, one_cpu, engine=False) as (human, _):
        await human.sees("The engine is not running")
        assert "a run under way goes on" in human.screen
        assert " left" not in human.screen


# ---- curves --------------------------------------------------------------------------------------------------------


async def test_another_curve_becomes_the_large_one(tmp_path: Path) -> None:
    async with on_live(tmp_path, one_cpu) as (human, screen):
        await human.sees("#1 loss")
        await human.press("c")
        await human.sees("#1 lr")
        await human.press("C", "C")
        assert screen.charts.large == screen.names[-1]


async def test_scale_smoothing_axis_and_height_are_those_of_every_curve(tmp_path: Path) -> None:
    async with on_live(tmp_path, one_cpu) as (human, screen):
        await human.press("L", "right_square_bracket", "right_square_bracket", "left_square_bracket", "x", "w")
        await human.sees("x: steps  smoothed 0.6  log scale")
        small = screen.query_one("#small-0", Chart)
        assert (small.log_scale, small.smoothing, small.axis, small.whole) == (True, 1, 1, True)
        await human.press("0")
        await human.sees("#1 loss  dotted: champion")
        assert (small.log_scale, small.smoothing, small.axis, small.whole) == (False, 0, 0, False)


async def test_a_key_of_the_curves_brings_them_into_sight(tmp_path: Path) -> None:
    async with on_live(tmp_path, one_cpu, size=(80, 24)) as (human, screen):
        await human.press("tab", "tab")
        assert not screen.charts.is_on_screen
        await human.press("L")
        await human.sees("log scale")


async def test_z_shows_the_large_curve_alone_and_esc_all_of_them(tmp_path: Path) -> None:
    async with on_live(tmp_path, one_cpu) as (human, screen):
        await human.press("z")
        await human.until(lambda: screen.charts.chart.size.height > 25, "the large curve alone")
        assert "grad_norm" not in human.screen
        assert not screen.log_tail.is_on_screen
        await human.press("escape")
        await human.sees("grad_norm")
        assert human.app.screen is screen


async def test_panes_are_gone_through_with_tab(tmp_path: Path) -> None:
    async with on_live(tmp_path, one_cpu, size=(80, 24)) as (human, screen):
        seen = []
        for _ in range(3):
            seen.append(screen.pane)
            await human.press("tab")
        await human.press("shift+tab")
        assert (*seen, screen.pane) == ("curves", "devices", "log", "log")


async def test_a_click_on_a_title_shows_its_pane(tmp_path: Path) -> None:
    async with on_live(tmp_path, one_cpu, size=(80, 24)) as (human, screen):
        await human.pilot.click("#tabs", offset=(33, 0))
        await human.sees("compiling...")
        assert screen.pane == "log"


# ---- runs ----------------------------------------------------------------------------------------------------------


async def test_one_goes_from_run_to_run_when_several_are_live(tmp_path: Path) -> None:
    async with on_live(tmp_path, two_gpus) as (human, screen):
        await human.sees("2 runs live")
        await human.sees("run 2 of 2 (h l)")
        await human.press("l")
        await human.sees("run 1 of 2 (h l)")
        await human.sees("#1 loss")
        assert "run 4, candidate, seed 0 on cuda:0" in human.screen
        await human.press("h")
        await human.sees("run 5, candidate, seed 0 on cuda:1")
        assert screen.log_tail.path == human.lab.log(5)


async def test_a_chosen_run_stays_until_it_ends(tmp_path: Path) -> None:
    async with on_live(tmp_path, two_gpus) as (human, screen):
        await human.press("l")
        newest = human.lab.starts(approved(human.lab), device="cuda:2")
        human.lab.trains(newest, 0.1)
        await human.sees("run 1 of 3")
        human.lab.ends(4, metric=1.84)
        await human.until(lambda: screen.run is not None and screen.run.id == newest, "the newest run")


async def test_the_next_run_takes_the_screen_when_one_ends(tmp_path: Path) -> None:
    async with on_live(tmp_path, one_cpu) as (human, screen):
        assert screen.run is not None
        human.lab.ends(screen.run.id, metric=1.83)
        await human.sees("LAST RUN: finished just now")
        await human.sees("val_bpb 1.8300")
        following = human.lab.starts(approved(human.lab, "the next idea"))
        human.lab.trains(following, 0.2)
        await human.sees("#2 loss")
        assert "LAST RUN" not in human.screen


async def test_an_audit_is_a_run_like_any_other_here_and_on_the_review_screen(tmp_path: Path) -> None:
    def story(lab: SampleLab) -> None:
        judged_once(lab)
        lab.trains(lab.starts(None, purpose=Purpose.AUDIT), 0.2)

    async with on_live(tmp_path, story) as (human, _):
        await human.sees("audit loss")
        await human.press("escape")
        await human.sees("▶ audit training")


async def test_a_run_that_stands_ready_does_not_push_away_the_one_at_work(tmp_path: Path) -> None:
    async with on_live(tmp_path, one_cpu) as (human, screen):
        human.lab.starts(approved(human.lab, "the next idea"), phase="waiting")
        await human.sees("run 1 of 2")
        assert screen.run is not None
        assert screen.run.phase == "training"


async def test_stopping_asks_first_and_cancel_has_the_focus(tmp_path: Path) -> None:
    async with on_live(tmp_path, two_gpus) as (human, screen):
        await human.press("l", "K")
        await human.sees("Stop run 4?")
        await human.press("enter")
        await human.until(lambda: human.app.screen is screen, "the Live screen")
        assert human.asked == []
        await human.press("K")
        await human.sees("Stop run 4?")
        await human.press("y")
        await human.until(lambda: human.asked == [StopRun(4)], "the request to stop the run on the screen")
        await human.is_told("run 4 is being stopped")


async def test_pausing_and_going_on(tmp_path: Path) -> None:
    async with on_live(tmp_path, one_cpu, size=(160, 50)) as (human, _):
        await human.press("P")
        await human.until(lambda: [type(asked) for asked in human.asked] == [Pause], "the request")
        await human.sees("PAUSED after this run")
        await human.sees("P resume")
        await human.press("P")
        await human.until(lambda: [type(asked) for asked in human.asked] == [Pause, Resume], "the request")
        await human.sees("P pause")


async def test_enter_shows_the_experiment_on_the_review_screen_and_decides_nothing(tmp_path: Path) -> None:
    async with on_live(tmp_path, two_gpus) as (human, _):
        await human.press("l", "enter")
        await human.until(lambda: human.app.screen is human.review, "the Review screen")
        await human.until(lambda: human.review.shown is not None and human.review.shown.id == 1, "#1")
        assert human.asked == []


async def test_six_compares_the_runs_experiment_with_its_champion(tmp_path: Path) -> None:
    async with on_live(tmp_path, one_cpu) as (human, screen):
        await human.press("6")
        await human.until(lambda: human.app.screen is not screen, "the Compare screen")
        assert human.app.places.compare.wanted == (1,)
        await human.press("escape")
        await human.until(lambda: human.app.screen is screen, "Live again")


# ---- the log -------------------------------------------------------------------------------------------------------


def long_log(lab: SampleLab) -> None:
    one_cpu(lab)
    with lab.log(4).open("a") as log:
        log.writelines(f"line {number} {'needle' if number % 40 == 7 else 'hay'}\n" for number in range(200))


async def test_words_are_found_in_the_log_and_esc_ends_the_search(tmp_path: Path) -> None:
    async with on_live(tmp_path, long_log) as (human, screen):
        await human.press("slash")
        await human.types("needle")
        await human.press("enter")
        await human.sees("sought: needle")
        first = screen.log_tail._match
        await human.press("n")
        second = screen.log_tail._match
        assert first is not None
        assert second is not None
        assert second != first
        await human.press("p")
        assert screen.log_tail._match == first
        assert "n next match" in human.screen
        await human.press("escape")
        assert screen.log_tail.following
        assert human.app.screen is screen


async def test_words_that_are_not_there_are_said_not_to_be(tmp_path: Path) -> None:
    async with on_live(tmp_path, long_log) as (human, screen):
        await human.press("slash")
        await human.types("K c P")
        assert human.asked == []
        await human.press("enter")
        await human.is_told("not found in the log: K c P")
        assert not screen.sought
        await human.press("slash", "escape")
        assert not screen.query_one("#find", Input).display


async def test_the_log_is_followed_or_not(tmp_path: Path) -> None:
    async with on_live(tmp_path, long_log) as (human, screen):
        await human.sees("line 199")
        await human.press("f")
        await human.sees("not followed: f follows the end")
        with human.lab.log(4).open("a") as log:
            log.write("one more\n")
        screen.log_tail.poll()
        await human.pilot.pause()
        assert "one more" not in human.screen
        await human.press("f")
        await human.sees("one more")
        await human.press("g")
        await human.sees("model of 4 layers")
        await human.press("j", "ctrl+d", "pagedown", "ctrl+u", "pageup", "k")
        assert not screen.log_tail.following
        await human.press("G")
        await human.sees("one more")
        assert screen.log_tail.following


async def test_long_lines_are_read_sideways(tmp_path: Path) -> None:
    def story(lab: SampleLab) -> None:
        one_cpu(lab)
        with lab.log(4).open("a") as log:
            log.write(f"{'=' * 80} the end of it\n")

    async with on_live(tmp_path, story, size=(80, 24)) as (human, screen):
        await human.press("right")
        await human.sees("the end of it")
        assert screen.pane == "log"
        await human.press("left")
        assert "the end of it" not in human.screen


async def test_many_devices_are_scrolled_through(tmp_path: Path) -> None:
    def story(lab: SampleLab) -> None:
        two_gpus(lab)
        telemetry(lab, *(gpu(index) for index in range(2, 16)))

    async with on_live(tmp_path, story, size=(80, 24)) as (human, _):
        await human.press("tab")
        await human.sees("cuda:0")
        assert "cuda:9" not in human.screen
        await human.press("G")
        await human.sees("cuda:9")
        await human.press("g", "j", "k", "pagedown", "pageup")
        await human.sees("cuda:0")


# ---- nothing runs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            unattended,
            ("Nothing runs: nothing is approved, 1 proposal waits", "1 shows the first", "LAST RUN: finished"),
        ),
        (paused, ("Nothing runs: the lab is paused (disk is full)", "P goes on")),
        (held, ("is approved and starts in 4.0s",)),
        ("thinking", ("nothing waits for a review", "The researcher thinking 42s")),
        ("crashed", ("The last run, of #1, CRASHED: RuntimeError", "✗ training", "LAST RUN: CRASHED")),
        ("killed", ("LAST RUN: stopped",)),
        ("timeout", ("TIMED OUT: longer than 4 times",)),
        ("preparing", ("Preparing the data: packing tokens",)),
        ("preparation_failed", ("shard 3 is cut short", "P tries again")),
        ("empty", ("No run yet. Nothing runs",)),
    ],
)
async def test_it_says_why_nothing_runs(
    tmp_path: Path, state: str | Callable[[SampleLab], None], words: tuple[str, ...]
) -> None:
    async with on_live(tmp_path, state) as (human, _):
        for said in words:
            await human.sees(said)


async def test_an_engine_that_is_down_is_started_from_here(tmp_path: Path) -> None:
    started: list[bool] = []
    async with on_live(
        tmp_path, unattended, engine=False, start_engine=lambda: started.append(True)
    ) as (human, _):  # fmt: skip
        await human.sees("The engine is not running: no run starts.")
        await human.press("P")
        await human.is_told("the engine is not running")
        await human.press("S")
        await human.until(lambda: started, "the engine's start")
        await human.sees("the engine is starting")


async def test_the_last_run_can_still_be_looked_at(tmp_path: Path) -> None:
    async with on_live(tmp_path, "crashed") as (human, screen):
        await human.sees("RuntimeError")
        assert len(screen.names) > 1
        await human.press("slash")
        await human.types("traceback")
        await human.press("enter")
        await human.sees("Traceback (most recent call last)")


# ---- keys that cannot act ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("K", "nothing is running"),
        ("c", "no run has started: there is no curve yet"),
        ("L", "no run has started: there is no curve yet"),
        ("w", "no run has started: there is no curve yet"),
        ("0", "no run has started: there is no curve yet"),
        ("l", "nothing is running"),
        ("f", "no run has started: there is no log yet"),
        ("slash", "no run has started: there is no log yet"),
        ("n", "nothing is being sought"),
        ("enter", "this run belongs to no experiment"),
        ("S", "the engine is running"),
        ("6", "there is no experiment to compare"),
    ],
)
async def test_a_key_that_cannot_act_says_why(tmp_path: Path, key: str, reason: str) -> None:
    async with on_live(tmp_path, "empty") as (human, screen):
        await human.press(key)
        await human.is_told(reason)
        assert human.app.screen is screen


async def test_with_one_run_there_is_no_other(tmp_path: Path) -> None:
    async with on_live(tmp_path, baseline_only) as (human, _):
        await human.press("h")
        await human.is_told("only one run is live")
        await human.press("enter")
        await human.is_told("this run belongs to no experiment")


async def test_who_only_looks_stops_nothing(tmp_path: Path) -> None:
    async with on_live(tmp_path, one_cpu, read_only=True) as (human, _):
        await human.press("K", "P")
        await human.is_told("this screen was opened to look only")
        assert human.asked == []


async def test_help_and_palette_have_the_keys_of_this_screen(tmp_path: Path) -> None:
    async with on_live(tmp_path, one_cpu) as (human, screen):
        await human.press("question_mark")
        await human.sees("What runs now, over the champion's run")
        await human.sees("The next curve becomes the large one")
        assert "Never run it" not in human.screen
        await human.press("G")
        await human.sees("Leave the screen")
        await human.press("g")
        await human.sees("The next curve becomes the large one")
        await human.press("escape", "colon")
        await human.types("curve before")
        await human.press("enter")
        await human.until(lambda: screen.charts.large == screen.names[-1], "the curve before the first")


def test_a_key_map_may_not_give_one_key_two_meanings_here() -> None:
    with pytest.raises(ConfigError, match="'x' would be both run_next and axis"):
        checked({"run_next": "x"}, Path("autoresearch.toml"))
    assert checked({"run_next": "N"}, Path("autoresearch.toml")) == {"run_next": "N"}


async def test_other_keys_of_the_screen_lead_away_and_back(tmp_path: Path) -> None:
    async with on_live(tmp_path, one_cpu) as (human, screen):
        await human.press("5")
        await human.until(lambda: human.app.screen is not screen, "another screen")
        await human.press("escape")
        await human.until(lambda: human.app.screen is screen, "Live again")
        await human.press("4")
        await human.until(lambda: human.app.screen is human.review, "the Review screen")
        assert human.review.panes.current == "log"


# ---- hostile, small, quiet -----------------------------------------------------------------------------------------


async def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    def story(lab: SampleLab) -> None:
        hostile(lab)
        run = lab.writer.live_runs()[-1].id
        lab.writer.add_points(run, [("[b]x[/b]", 1, 1.0, 2.0)])
        telemetry(lab, Gauge("\x1b]52;c;x\x07", MOMENT, 1.0, 1.0, 1.0, 1.0, 1.0, cores="\x1b99"))
        lab.writer.update_run(run, phase="\x1bc[/]", device="\x9b6n")

    async with on_live(tmp_path, story) as (human, screen):
        await human.sees("▶")
        await human.press("tab", "c", "z", "escape", "slash")
        await human.types("x")
        await human.press("enter")
        assert not {"\x1b", "\x07", "\x9b", "\u202e", "\u200b"} & set(human.screen)
        assert human.app.screen is screen


async def test_a_terminal_too_small_says_so(tmp_path: Path) -> None:
    async with on_live(tmp_path, one_cpu) as (human, screen):
        await human.pilot.resize_terminal(50, 12)
        await human.sees("too small: 50×12")
        await human.press("K", "c")
        assert human.asked == []
        assert screen.charts.large == "loss"
        await human.pilot.resize_terminal(80, 24)
        await human.sees("#1 loss")


@pytest.mark.parametrize("symbols", ["ascii", "block"])
async def test_symbols_are_those_that_were_asked_for(tmp_path: Path, symbols: str) -> None:
    async with on_live(tmp_path, one_cpu, look=Look(symbols=symbols)) as (human, screen):
        await human.sees("#1 loss")
        drawn = "".join(screen.charts.chart.render_line(y).text for y in range(screen.charts.chart.size.height))
        assert not any("\u2800" < char <= "\u28ff" for char in drawn)


async def test_a_look_without_news_repaints_nothing_and_a_new_point_a_few_cells(tmp_path: Path) -> None:
    async with on_live(tmp_path, one_cpu) as (human, screen):
        await human.sees("by its pace")
        widgets = [*screen.query(Chart), *screen.query(Line), *screen.query(Gauges), *screen.query(LogTail)]

        def repainted() -> int:
            return sum(region.area for widget in widgets for region in regions(widget))

        await human.pilot.pause(0.5)
        repainted()
        screen.draw()
        screen.drawing.words()
        assert repainted() == 0
        assert screen.run is not None
        human.lab.writer.add_points(screen.run.id, [("loss", 133, 13.4, 2.98)])
        screen.charts.chart._painted = float("-inf")
        screen.draw()
        assert 0 < repainted() < 60


def regions(widget: Widget) -> Any:
    return widget._exchange_repaint_regions()


async def test_runs_that_ended_before_the_first_step_say_so(tmp_path: Path) -> None:
    def story(lab: SampleLab) -> None:
        lab.baseline()
        lab.ends(lab.starts(approved(lab)), RunState.CRASHED, error="ImportError: no module named x")

    async with on_live(tmp_path, story) as (human, _):
        await human.sees("No points: the run ended before its first training step.")
        await human.sees("ImportError: no module named x")
        await human.press("L")
        await human.is_told("no points yet")


async def test_a_device_that_is_set_aside_stands_among_the_devices_and_in_the_corner(tmp_path: Path) -> None:
    words = "cuda:1 gets no more runs: the champion's own run 9 broke off there (the GPU is lost)"
    async with on_live(tmp_path) as (human, _):
        await human.press("escape")
        await human.until(lambda: not isinstance(human.app.screen, Live), "the Review screen")
        with human.lab.writer.transaction():
            human.lab.writer.set("aside", {"cuda:1": words})
            human.lab.writer.event("device_set_aside", device="cuda:1", words=words)
        await human.is_told("twice, pause and go on, tries it again")
        await human.press("7")
        await human.until(lambda: isinstance(human.app.screen, Live), "the Live screen")
        gauges = human.app.screen.query_one(Gauges)

        def shown() -> str:
            return " ".join(gauges.render_line(y).text.strip() for y in range(gauges.size.height))

        await human.until(lambda: shown().startswith(words), "the words")
