"""Claude as the researcher: one question at a time, *what is the next experiment?*, answered through tools.

The loop is ours and the model never has a shell. `question` says what is asked (the next experiment, a revision, a
human's idea, the repair of a crash) from the record; `facts`, `history`, `asking` and `prompt` rebuild everything the
model is told, the stable part first so that it is cached; `conversation` lets it read (`forms` and `desk`, with
`shelf`, `query` and `digest`) until it proposes; `draft`, `repeats` and `likeness` check what it proposes while it
can still mend it. `endpoint` and `answer` are the wire, `voice` is the screen, `budget` is the caps and the money.
`researcher` puts them together, `fallback` steps in while the model cannot be reached.
"""

from core.researchers.claude.fallback import FallbackResearcher
from core.researchers.claude.researcher import ClaudeResearcher

__all__ = ["ClaudeResearcher", "FallbackResearcher"]
