"""Five steps for whoever opens a lab for the first time on this machine. Shown once; a file remembers that it was."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from tui.actions import key_of
from tui.personal import state_folder

STEPS = (
    "A researcher proposes one patch at a time to the training script. It comes up here; "
    "{down} {up} scroll it, {next_hunk} {previous_hunk} go from hunk to hunk.",
    "{pane_why} says why it was proposed and what is risky in it, {pane_curves} draws its run over the champion's, "
    "{pane_log} is its log, {pane_list} the list of all.",
    "You decide with a key: {approve} runs it, {edit} edits it, {revise} sends it back, {veto} drops it; "
    "{undo} takes that back. Enter and Esc never decide.",
    "{autonomy} is the dial. At manual every patch waits for you, as long as you like; turned up, patches run by "
    "themselves. What is kept is better beyond the noise.",
    "{detach} leaves the screen; the engine and the run go on. {help} shows every key, {palette} every command, "
    "this tour among them.",
)


def step_words(step: int) -> str:
    """The words of one step, with the keys as the user has mapped them."""
    return re.sub(r"\{(\w+)\}", lambda found: key_of(found[1]), STEPS[step])


class Memory:
    """Whether the tour was ever shown on this machine: a file under XDG_STATE_HOME."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self.file = state_folder(environment) / "tour"

    def first_time(self) -> bool:
        """True once, ever; False too where that cannot be remembered, for a tour each time would be in the way."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.file.touch(exist_ok=False)
        except OSError:
            return False
        return True
