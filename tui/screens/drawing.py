"""What is known, put into the widgets of the Review screen: one function a part of the screen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.content import Content

from core.models import Series, State
from tui.actions import BY_ID, key_of, keys_of
from tui.detail import with_live
from tui.pace import Ends
from tui.snapshot import PURPOSES, pause_label, whose
from tui.widgets.line import Line, Part, key_hint
from tui.widgets.states import Banner, notice
from tui.widgets.status_bar import activity, heading, status
from tui.widgets.why import why

if TYPE_CHECKING:
    from tui.screens.review import Review

FOOTER = {
    "approve": 0, "edit": 2, "revise": 0, "veto": 0, "toggle_hunk": 3, "next_hunk": 7, "defer": 5, "undo": 1,
    "restart_engine": 0, "pause": 8, "stop_run": 8, "autonomy": 8, "message": 10, "idea": 10, "pane_list": 9,
    "next_pane": 10, "zoom": 12, "older": 12, "experiments": 1, "compare": 3, "live": 2,
    "help": 0, "palette": 6, "detach": 4,
}  # fmt: skip
"""actions of the last row, and which are left out first where it is narrow; 0 are never"""
HIDDEN_WHEN_IDLE = ("restart_engine", "stop_run")
ELSEWHERE = ("experiments", "compare", "live")
"""where there is something to look at when nothing here waits for a decision"""
DIM, SETTLED_DIM = 6, 20
"""what cannot act is left out so much earlier; where nothing can be decided, before anything that can act"""


class Drawing:
    """Draws one Review screen; remembers what it drew where drawing less is the point."""

    def __init__(self, screen: Review) -> None:
        self.screen = screen
        self._doing: tuple[object, ...] = ()
        """what the second row says, times and numbers aside"""
        self._ends = Ends()

    def everything(self) -> None:
        """All parts; each repaints only what changed."""
        screen = self.screen
        lab, panes = screen.lab, screen.panes
        with screen.app.batch_update():
            self.status()
            doing = (lab.run and (lab.run.id, lab.run.phase), lab.paused, lab.preparation, lab.researcher, lab.alive)
            if doing != self._doing:  # numbers alone wait for the next second
                self._doing = doing
                self.activity()
            shown = lab.by_id.get(screen.desk.shown) if screen.desk.shown is not None else None
            findings = screen.detail.findings if screen.detail and screen.shown else ()
            self._line("heading").show_parts(heading(lab, shown, findings, back=self._back()))
            self.banner()
            panes.experiments.show(lab.queue, lab.history, screen.desk.shown)
            panes.inform(list=f"{len(lab.queue)} wait{'s' if len(lab.queue) == 1 else ''}, {len(lab.history)} in all")
            if screen.detail and screen.shown:
                runs = with_live(screen.detail.runs, lab.live)
                panes.why.show(why(replace(screen.detail, runs=runs), lab))
            elif screen.desk.shown is None:
                panes.why.show(Content())
            self.run()
            self.diff_facts()
            self.keys()

    def times(self) -> None:
        """What changes by the clock alone."""
        self.status()
        self.activity()
        self.banner()
        lab = self.screen.lab
        self.screen.panes.gauges.show(lab.gauges, now=self.screen.client.now(), aside=lab.aside)

    def status(self) -> None:
        """The first row."""
        screen = self.screen
        replay = screen.replay() if screen.replay else None
        self._line("status").show_parts(status(screen.lab, screen.client.lab.name, replay))

    def activity(self) -> None:
        """The second row."""
        screen = self.screen
        run, trained, loss = screen.lab.run, None, None
        if run is not None:
            curve = screen.client.curve(run.id, "loss")
            trained = curve.t[-1] if curve.t else None
            loss = curve.value[-1] if curve.value else None
        bar = 10 if screen.app.size.width < 100 else 20
        parts = activity(screen.lab, now=screen.client.now(), trained=trained, loss=loss, bar=bar)
        self._line("activity").show_parts(parts)

    def banner(self) -> None:
        """What is the case, over the panes or in their place."""
        screen = self.screen
        detail = screen.detail if screen.shown else None
        said = notice(
            screen.lab,
            screen.shown,
            now=screen.client.now(),
            can_start=screen.start_engine is not None,
            read_only="" if screen.replay else screen.read_only,
            runs=with_live(detail.runs, screen.lab.live) if detail else (),
            reviews=detail.reviews if detail else (),
            log=detail.log if detail else (),
            blocked=screen.blocked,
            selection=screen.left_over,
        )
        if screen.replay and said is not None:
            said = replace(said, next="")  # the first row says that it is one, and no key would do it
        if screen.desk.shown is not None and screen.shown is None and (said is None or said.whole):
            # what is on the desk is being read: the pane says so in a moment, and that the lab is empty is over
            if not screen.panes.display:
                screen.query_one(Banner).say(None)
                screen.panes.display = True
            return
        # where there is nothing to review, the curve of the baseline and its log can still be looked at
        whole = said is not None and said.whole and screen.panes.current in ("diff", "why")
        screen.query_one(Banner).say(said, whole=whole)
        screen.panes.display = not whole

    def run(self) -> None:
        """The curve and the log of the run that belongs to what is shown."""
        screen = self.screen
        run, panes, name = screen.run_in_view, screen.panes, screen.curve
        panes.log_tail.follow(screen.client.log_of(run.id) if run else None)
        if run is None:
            panes.inform(curves="", log="")
            panes.chart.show(Series(name, (), (), ()), None, note="no run yet")
            return
        words = f"run {run.id}, {PURPOSES[run.purpose]} seed {run.seed}"
        who = whose(run)
        if run.experiment_id != screen.desk.shown and who != PURPOSES[run.purpose]:
            words = f"{who} {words}"  # nothing of what is shown has run: it is another one's
        panes.inform(curves=words, log=words)
        behind = screen.client.champion_run(run.seed)
        curve = screen.client.curve(run.id, name)
        champion = screen.client.curve(behind.id, name) if behind and behind.id != run.id else None
        title = f"{whose(run)} {name}"
        panes.chart.count_in_seconds(screen.lab.timed)
        panes.chart.show(curve, champion, title=title, end=self._ends.of(run, curve), over=not run.is_live)

    def diff_facts(self) -> None:
        """Size of the patch, the hunk under the cursor, what is out and what was seen."""
        screen = self.screen
        detail, diff = screen.detail if screen.shown else None, screen.panes.diff
        if detail is None or detail.patch is None:
            screen.panes.inform(diff="")
            return
        total, at = detail.hunks, diff.cursor_hunk
        facts = [f"+{detail.patch.added} -{detail.patch.removed}"]
        if at is not None:
            facts.append(f"hunk {at + 1}/{total}")
        if len(diff.kept) < total:
            facts.append(f"{total - len(diff.kept)} OUT")
        facts.append(f"{len(diff.seen)}/{total} seen")
        screen.panes.inform(diff="  ".join(facts))

    def keys(self) -> None:
        """The last row: what can be done, dim where it cannot."""
        screen = self.screen
        if screen.finding:
            on, back = key_of("next_hunk", screen.keymap), key_of("previous_hunk", screen.keymap)
            hints = ((on, "next match"), (back, "previous"), (key_of("back", screen.keymap), "end the search"))
            self._line("keys").show_parts([Part(key_hint(key, label)) for key, label in hints], 1)
            return
        view, settled = screen.view, self._settled
        parts: list[Part] = []
        for action_id, rank in FOOTER.items():
            action = BY_ID[action_id]
            reason = action.why_disabled(view)
            if (reason and action_id in HIDDEN_WHEN_IDLE) or (not settled and action_id in ELSEWHERE):
                continue
            label = pause_label(screen.lab) if action_id == "pause" else action.label
            key = keys_of(action, screen.keymap)[0]
            # what cannot act stays, dim, for the fingers' memory; in a narrow row it goes a little earlier
            later = (SETTLED_DIM if settled else DIM) if reason else 0
            parts.append(Part(key_hint(key, label, dim=bool(reason)), rank + later, None, action_id))
        self._line("keys").show_parts(parts, 1)

    @property
    def _settled(self) -> bool:
        """Nothing on this screen waits for a decision that could be taken here."""
        screen = self.screen
        shown = screen.lab.by_id.get(screen.desk.shown) if screen.desk.shown is not None else None
        waits = shown.state is State.PROPOSED if shown else bool(screen.lab.queue)
        return bool(screen.read_only) or not waits

    def _back(self) -> str:
        """Where Esc leads from what was chosen by hand."""
        if not self.screen.desk.pinned:
            return ""
        if self.screen.opened_from:
            return f"Esc: back to {self.screen.opened_from.capitalize()}"
        return f"Esc: {waiting} waiting" if (waiting := len(self.screen.lab.queue)) else ""

    def _line(self, name: str) -> Line:
        return self.screen.query_one(f"#{name}", Line)
