"""A recorded session, shown again as it happened.

`recording` reads a lab once; `states` says how a row looked after each entry of the journal; `stage` is a temporary lab
that is fed with both; `pace` turns seconds of the show into moments of the session; `playing` runs it for a screen.
"""

from core.replay.pace import Pace
from core.replay.playing import Progress, Show, playing
from core.replay.recording import Recording
from core.replay.stage import Stage

__all__ = ["Pace", "Progress", "Recording", "Show", "Stage", "playing"]
