"""The screens of the app and the ways between them: the app hands on here what a screen posts as `Go`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from textual.app import App

from tui.screens.go import Go
from tui.snapshot import Snapshot

if TYPE_CHECKING:  # made when they are first gone to: the first paint does without them
    from tui.detail import Sources
    from tui.screens.compare import Compare
    from tui.screens.experiments import Experiments
    from tui.screens.lab_screen import LabScreen
    from tui.screens.review import Review
    from tui.screens.versions import Versions

BESIDE_REVIEW = ("experiments", "compare", "live", "researcher", "decisions", "versions")


class Places:
    """One screen at a time, each keeping its state. They are modes, not a stack: Textual takes a screen that lies under
    another one for visible, and a tick of its clock would repaint the whole terminal.
    """

    def __init__(self, app: App[Any], review: Review, sources: Sources) -> None:
        self._app, self._review, self._sources = app, review, sources
        self._made: dict[str, LabScreen] = {}
        self._way: list[str] = []
        """where one came from"""
        app.add_mode("review", lambda: review)
        for place in BESIDE_REVIEW:
            app.add_mode(place, partial(self.screen, place))

    def go(self, way: Go) -> None:
        here = self._app.current_mode
        match way.place:
            case "back" if not self._way and here == "review":
                return
            case "back":
                place = self._way.pop() if self._way else "review"
            case place if place in BESIDE_REVIEW and place != here:
                # each place lies on the way back at most once
                at = self._way.index(place) if place in self._way else None
                self._way = [*self._way, here] if at is None else self._way[:at]
            case place:
                pass
        if way.place == "compare":
            self.compare.take(way.experiments)
        elif way.place == "versions":
            cast("Versions", self.screen("versions")).take(way.experiments[0])
        self._app.switch_mode(place)
        if here == "review" and place != here:
            self._review.desk.look_away()
            self._review.opened_from = ""
        if place == "review":
            self._way = [here] if way.experiments and here != "review" else []
            self._review.opened_from = "".join(self._way)
            self._review.desk.look_back()
            if way.pane:
                self._review.panes.select(way.pane)
            elif way.experiments:
                self._review.open(way.experiments[0])

    def lab_changed(self, lab: Snapshot) -> None:
        for screen in self._made.values():
            screen.lab_changed(lab)

    def screen(self, place: str) -> LabScreen:
        """A screen beside Review, made when it is first gone to."""
        if place not in self._made:
            self._made[place] = self._make(place)
        return self._made[place]

    @property
    def experiments(self) -> Experiments:
        return cast("Experiments", self.screen("experiments"))

    @property
    def compare(self) -> Compare:
        return cast("Compare", self.screen("compare"))

    def _make(self, place: str) -> LabScreen:
        client, keymap, symbols = self._review.client, self._review.keymap, self._review.look.symbols
        match place:
            case "experiments":
                from tui.screens.experiments import Experiments

                return Experiments(client, keymap=keymap, symbols=symbols)
            case "compare":
                from tui.screens.compare import Compare

                return Compare(client, self._sources, keymap=keymap, symbols=symbols)
            case "live":
                from tui.screens.live import Live

                return Live(client, self._review, keymap=keymap)
            case "researcher":
                from tui.screens.researcher import Researcher

                return Researcher(self._review, self._sources, keymap=keymap)
            case "decisions":
                from tui.screens.decisions import Decisions

                return Decisions(client, keymap=keymap)
            case "versions":
                from tui.screens.versions import Versions

                return Versions(client, self._sources, keymap=keymap)
        raise AssertionError(place)
