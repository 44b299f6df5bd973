"""The screens of the app and the ways between them. A screen posts `Go`; the app hands it on to `Places`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.app import App
from textual.message import Message

from tui.snapshot import Snapshot

if TYPE_CHECKING:  # made when they are first gone to: the first paint does without them
    from tui.detail import Sources
    from tui.screens.compare import Compare
    from tui.screens.experiments import Experiments
    from tui.screens.review import Review


class Go(Message):
    """Somebody wants to be on another screen.

    `experiments`; `compare` with the experiments to be compared; `review`, with an experiment to be shown or with the
    name of a pane; `back`: where one came from.
    """

    def __init__(self, place: str, experiments: tuple[int, ...] = (), pane: str = "") -> None:
        super().__init__()
        self.place = place
        self.experiments = experiments
        self.pane = pane


class Places:
    """One screen at a time, each keeping its state. They are modes, not a stack: Textual takes a screen that lies under
    another one for visible, and a tick of its clock would repaint the whole terminal.
    """

    def __init__(self, app: App[Any], review: Review, sources: Sources) -> None:
        self._app, self._review, self._sources = app, review, sources
        self._experiments: Experiments | None = None
        self._compare: Compare | None = None
        self._way: list[str] = []
        """where one came from"""
        app.add_mode("review", lambda: review)
        app.add_mode("experiments", lambda: self.experiments)
        app.add_mode("compare", lambda: self.compare)

    def go(self, way: Go) -> None:
        here = self._app.current_mode
        match way.place:
            case "back":
                place = self._way.pop() if self._way else "review"
            case "experiments" | "compare" as place if place != here:
                # each place lies on the way back at most once
                at = self._way.index(place) if place in self._way else None
                self._way = [*self._way, here] if at is None else self._way[:at]
            case place:
                pass
        if way.place == "compare":
            self.compare.take(way.experiments)
        self._app.switch_mode(place)
        if place == "review":
            self._way.clear()
            # keys that decide are inert for a moment: what lies on the desk may have come up out of sight
            self._review.desk.arrived = self._review.desk.clock()
            if way.pane:
                self._review.panes.select(way.pane)
            elif way.experiments:
                self._review.open(way.experiments[0])

    def lab_changed(self, lab: Snapshot) -> None:
        for screen in (self._experiments, self._compare):
            if screen is not None:
                screen.lab_changed(lab)

    @property
    def experiments(self) -> Experiments:
        if self._experiments is None:
            from tui.screens.experiments import Experiments

            self._experiments = Experiments(self._review.client, keymap=self._review.keymap)
        return self._experiments

    @property
    def compare(self) -> Compare:
        if self._compare is None:
            from tui.screens.compare import Compare

            self._compare = Compare(self._review.client, self._sources, keymap=self._review.keymap)
        return self._compare
