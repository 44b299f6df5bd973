"""Which proposals may pass without a human: the dial, and what the guards' findings do to it.

    manual    nothing passes
    guarded   constants-only patches, and short ones without a caution, pass
    full      every valid patch passes

A danger finding waits for a human at every setting, and neither guarded nor full trains anything outside a sandbox
unless the config accepts that in as many words. The rule that lets a patch pass has a name, which its review records;
a patch that waits says why, in a sentence for the screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from core.models import Autonomy

LEVELS = ("note", "caution", "danger")


class Finding(Protocol):
    """Something the guards saw in a patch (`core.guards.Finding`)."""

    @property
    def level(self) -> str: ...

    @property
    def why(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Proposed:
    """What the dial looks at in one proposal."""

    constants_only: bool
    """numeric constants changed, and nothing else"""
    lines: int
    """added plus removed"""
    findings: Sequence[Finding] = ()
    problem: str = ""
    """why the patch is not valid: it does not parse, does not apply or leaves the editable files"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the config and the machine allow."""

    lines: int = 20
    """the longest patch that `guarded` lets pass"""
    tier: str = "C"
    """of the sandbox: A bubblewrap, B Landlock, C none"""
    allow_unsandboxed: bool = False


@dataclass(frozen=True, slots=True)
class Passed:
    """No human is needed."""

    policy: str
    """the rule, for the review's record"""
    why: str


@dataclass(frozen=True, slots=True)
class Waits:
    """A human decides."""

    reason: str


def may_pass(autonomy: Autonomy, proposed: Proposed, limits: Limits) -> Passed | Waits:
    """Whether this proposal passes at this setting of the dial."""
    if proposed.problem:
        return Waits(f"The patch is not valid: {proposed.problem}")
    if autonomy is Autonomy.MANUAL:
        return Waits("Autonomy is manual: every patch waits for you.")
    if no_sandbox := refusal(autonomy, limits):
        return Waits(no_sandbox)
    if dangers := _whys(proposed.findings, "danger"):
        return Waits(f"Danger, at any autonomy: {dangers}.")
    if autonomy is Autonomy.FULL:
        return Passed("full", "Full autonomy: the patch is valid and nothing in it is flagged as danger.")
    if proposed.constants_only:
        return Passed("guarded/constants", "Guarded autonomy: only numeric constants change.")
    if cautions := _whys(proposed.findings, "caution"):
        return Waits(f"Caution, so guarded autonomy asks you: {cautions}.")
    if proposed.lines > limits.lines:
        return Waits(f"It changes {proposed.lines} lines; guarded autonomy lets up to {limits.lines} pass.")
    return Passed("guarded/small", f"Guarded autonomy: {proposed.lines} lines change and nothing in them is flagged.")


def refusal(autonomy: Autonomy, limits: Limits) -> str:
    """Why the dial cannot be put here on this machine; empty where it can."""
    if autonomy is Autonomy.MANUAL or limits.tier in ("A", "B") or limits.allow_unsandboxed:
        return ""
    return f"There is no sandbox here, and {autonomy} autonomy trains nothing without one."


def _whys(findings: Sequence[Finding], level: str) -> str:
    """The reasons at this level, each once; a level nobody knows counts as danger."""
    found = [one.why for one in findings if (one.level if one.level in LEVELS else "danger") == level]
    return "; ".join(dict.fromkeys(found))
