"""What is known of the run that is followed, put into the widgets of the Live screen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.content import Content

from core.models import Run, RunState, State
from core.runs import gate
from core.text import ago, number, one_line
from tui.actions import key_of
from tui.idle import how_ended, why_idle
from tui.pace import Ends, Left, Stage, Step, left, steps
from tui.snapshot import PURPOSES, whose
from tui.widgets.chart_grid import Curve
from tui.widgets.gauges import Gauges
from tui.widgets.line import Line, Part
from tui.widgets.phases import Phases, strip
from tui.widgets.states import Banner
from tui.widgets.status_bar import gauge, percent

if TYPE_CHECKING:
    from tui.screens.live import Live
    from tui.screens.review import Review

COARSE = 20
"""steps of the progress bar: the number beside it is finer, and a bar that moves twice a second is bytes"""


class LiveDrawing:
    """Draws one Live screen."""

    def __init__(self, screen: Live, review: Review) -> None:
        self.screen, self._review = screen, review
        self._ends = Ends()

    def words(self) -> None:
        """Everything but the curves and the log; each part repaints only what changed."""
        screen, lab = self.screen, self.screen.lab
        live = f"{len(lab.live)} runs live" if len(lab.live) > 1 else ""
        self._line("status").show_parts(screen.heading("Live", live, run=False))
        self._banner()
        found, rest = self._times()
        self._line("run").show_parts(self._run())
        self._line("strip").show_parts(strip(found, rest), 1)
        screen.query_one(Phases).show(found, rest)
        screen.query_one(Gauges).show(lab.gauges, now=screen.client.now(), aside=lab.aside)
        self._titles()
        self._line("keys").show_parts(screen.keys(), 1)

    def curves(self) -> None:
        """The curves that are in sight, over the champion's with the same seed."""
        screen, run = self.screen, self.screen.run
        if run is None or not screen.charts.is_on_screen:
            return
        behind = screen.client.champion_run(run.seed)
        if behind is not None and behind.id == run.id:
            behind = None

        def find(name: str) -> Curve:
            series = screen.client.curve(run.id, name)
            champion = screen.client.curve(behind.id, name) if behind is not None else None
            return Curve(series, champion, self._ends.of(run, series))

        screen.charts.count_in_seconds(screen.lab.timed)
        screen.charts.show(screen.names, find, title=whose(run), over=not run.is_live)

    # ---- parts -------------------------------------------------------------------------------------------------

    def _banner(self) -> None:
        """Why nothing runs, or what is wrong meanwhile; in the place of the panes where there never was a run."""
        screen, review = self.screen, self._review
        said = why_idle(
            screen.lab,
            now=screen.client.now(),
            can_start=review.start_engine is not None,
            read_only=bool(review.read_only),
        )
        whole = screen.run is None
        if whole and said is not None and not screen.lab.missing:
            said = replace(said, title=f"No run yet. {said.title}")
        screen.query_one(Banner).say(said, whole=whole)

    def _times(self) -> tuple[list[Step], Left | None]:
        """The phases of the run and what is left of it."""
        screen, run = self.screen, self.screen.run
        lab, now = screen.lab, screen.client.now()
        if run is None:
            return [], None
        trained = self._trained(run)
        row = lab.by_id.get(run.experiment_id) if run.experiment_id else None
        judging = row is not None and row.state is State.RUNNING and run.state is not RunState.LOST and not lab.live
        found = steps(run, now=now, watch=screen.stopwatch, trained=trained, judging=judging)
        if lab.alive is False and not lab.starting:
            return found, None  # nobody follows the run: what is known of it grows old
        like = screen.client.champion_run(run.seed)
        if like is not None and (like.id == run.id or like.device_class != run.device_class):
            like = None
        spent = next((step.seconds for step in found if step.stage is Stage.NOW), None)
        return found, left(run, now=now, trained=trained, like=like, spent=spent)

    def _trained(self, run: Run) -> float | None:
        """Training seconds up to the newest point."""
        names = self.screen.names
        t = self.screen.client.curve(run.id, names[0]).t if names else ()
        return t[-1] if t else None

    def _run(self) -> list[Part]:
        """Which run it is, how far, or how it ended."""
        screen, run = self.screen, self.screen.run
        if run is None:
            return []
        row = screen.lab.by_id.get(run.experiment_id) if run.experiment_id else None
        who = whose(run)
        title = f" {one_line(row.title, 60)}" if row else ""
        made = f"run {run.id}, {PURPOSES[run.purpose]}, seed {run.seed} on {one_line(run.device, 12)}"
        return [
            *(self._how_far(run) if run.is_live else self._how_it_ended(run)),
            Part(Content.assemble((who, "bold"), title), 3, Content.styled(who, "bold")),
            Part(Content.styled(made, "$foreground-muted"), 5),
        ]

    def _how_far(self, run: Run) -> list[Part]:
        screen, lab = self.screen, self.screen.lab
        training = run.phase in ("training", "saving")
        words = f" {percent(run.progress):>4}" if training else f" {one_line(run.phase, 16)}"
        parts = [Part(Content.assemble((" ▶", "$text-success"), (words, "bold")), 0)]
        if training:
            parts.append(Part(gauge(int(run.progress * COARSE) / COARSE, COARSE), 6))
        if len(lab.live) > 1:
            at = 1 + [one.id for one in lab.live].index(run.id)
            keys = f"({key_of('run_previous', screen.keymap)} {key_of('run_next', screen.keymap)})"
            parts.append(Part(Content.styled(f"run {at} of {len(lab.live)} {keys}", "$text-warning"), 1))
        if lab.paused:
            parts.append(Part(Content.styled("PAUSED after this run", "bold $text-warning"), 1, None, "pause"))
        return parts

    def _how_it_ended(self, run: Run) -> list[Part]:
        screen = self.screen
        gone = screen.client.now() - run.ended_at if run.ended_at else None
        when = "" if gone is None else f" {ago(gone)}" if gone >= 60 else " just now"  # seconds would be bytes
        good = run.metric is not None or gate.was_withdrawn(run)
        style = "bold" if good else "bold $text-error"
        parts = [Part(Content.styled(f" ■ LAST RUN: {how_ended(run)}{when}", style), 0)]
        if run.metric is not None:
            parts.append(Part(Content(f"{one_line(screen.lab.lab.metric, 16)} {number(run.metric)}"), 1))
        return parts

    def _titles(self) -> None:
        screen = self.screen
        more, log = screen.charts.hidden, screen.log_tail
        following = "" if log.following else f"not followed: {key_of('follow', screen.keymap)} follows the end"
        facts = {
            "curves": f"{more} more: {key_of('large_next', screen.keymap)}" if more else "",
            "devices": "",
            "log": f"sought: {one_line(screen.sought, 24)}" if screen.sought else following,
        }
        for pane in screen.panes:
            self._line(f"{pane}-title").show_parts([screen.tab(pane), _fact(facts[pane])])
        self._line("tabs").show_parts([*map(screen.tab, screen.panes), _fact(facts[screen.pane])], 1)

    def _line(self, name: str) -> Line:
        return self.screen.query_one(f"#{name}", Line)


def _fact(words: str) -> Part:
    return Part(Content.styled(words, "$foreground-muted"), 1)
