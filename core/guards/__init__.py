"""What a reviewer should look at twice in a patch: advice on the screen, never the only gate.

Only added lines are judged (and, for causal masks, removed ones), by their syntax tree where the file parses, so an
unchanged neighbour, a comment or a docstring never fires. Levels: *danger* is hardly ever honest, *caution* often is
but changes what a result means when it is not, *note* is worth knowing. The sandbox, the evaluator and its causality
probe are what actually stops a cheat; a determined author can hide from any static reading.
"""

from core.guards.constants import constants_only
from core.guards.findings import Finding, findings
from core.guards.rules import Kind, Level

__all__ = ["Finding", "Kind", "Level", "constants_only", "findings"]
