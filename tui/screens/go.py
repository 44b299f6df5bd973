"""The wish to be on another screen. Screens know this alone of each other; `places` takes them there."""

from __future__ import annotations

from textual.message import Message


class Go(Message):
    """Somebody wants to be on another screen.

    `experiments`, `live`, `researcher`, `decisions`; `compare` with the experiments to be compared; `versions`
    with the experiment whose patch it is about; `review`, with an experiment to be shown or with the name of a pane;
    `back`: where one came from.
    """

    def __init__(self, place: str, experiments: tuple[int, ...] = (), pane: str = "") -> None:
        super().__init__()
        self.place = place
        self.experiments = experiments
        self.pane = pane
