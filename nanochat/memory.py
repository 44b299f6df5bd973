"""How much memory a profile needs on a GPU, estimated before the run, and the largest micro-batch that fits. Frozen.

Counted for train.py as it is before any patch, in bfloat16. What one token leaves behind for the backward pass was
fitted to two peaks that upstream has published for compiled code (depth 12: 34 GB; depth 8 with 262,144 tokens: 45.1
GB). Importing this does not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from nanochat.profiles import PROFILES, Profile

GIB = 2**30
LAYER_BYTES = {True: 28, False: 46}  # a token, a layer and a channel: compiled or not
EDGE_BYTES = 10  # a token and a channel, once: embedding in both dtypes, first and last norm
LOGIT_BYTES = {True: 6, False: 26}  # a token and an entry of the vocabulary: compiled code keeps no float32 copies
MUON_BYTES = 20  # a weight of the largest stack of matrices, while it is updated
OWN_BYTES = 0.8 * GIB  # the CUDA context, the libraries' workspaces, the compiler's
EVALUATION_BYTES = 14  # a logit of the evaluation: the buffer, and three copies in float32
USABLE = 0.9  # of a device's memory; the rest is fragments, the driver, a desktop
CLASS_SHARE = 0.85  # a card sold as 24 GB may say 22.5


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes, part by part. Training peaks in the backward pass or in the optimizer, evaluation comes after it."""

    weights: float  # parameters, gradients and optimizer state; float32
    warm_up: float  # the copy of the parameters that warm-up steps are undone with
    activations: float
    logits: float
    update: float  # what the optimizer stacks up for a moment
    evaluation: float

    @property
    def training(self) -> float:
        return OWN_BYTES + self.weights + self.warm_up + max(self.activations + self.logits, self.update)

    @property
    def total(self) -> float:
        return max(self.training, OWN_BYTES + self.evaluation)


def parameters(profile: Profile) -> tuple[int, int]:
    """(matrices for Muon, everything else for AdamW)."""
    width, with_value = profile.width, (profile.depth + 1) // 2
    matrices = 12 * profile.depth * width**2
    gates = with_value * min(32, width) * profile.heads
    return matrices, (2 + with_value) * profile.vocab * width + gates + 2 * profile.depth


def estimate(profile: Profile) -> Estimate:
    matrices, others = parameters(profile)
    tokens = profile.rows * profile.sequence
    copies = 2 * (matrices + profile.vocab * profile.width)  # the matrices again in bfloat16
    layers = LAYER_BYTES[profile.compile] * profile.depth + EDGE_BYTES
    return Estimate(
        weights=12 * matrices + 16 * others,
        warm_up=4 * (matrices + others),
        activations=tokens * layers * profile.width + copies,
        logits=tokens * profile.vocab * LOGIT_BYTES[profile.compile],
        update=MUON_BYTES * 8 * profile.depth * profile.width**2,
        evaluation=4 * (matrices + others)
        + EVALUATION_BYTES * profile.eval_rows * profile.sequence * profile.vocab
        + OWN_BYTES,  # of the second process
    )


def largest_rows(profile: Profile, available: float) -> int | None:
    """The most rows in a micro-batch that need at most `available` bytes; None where not even one does."""
    in_step = profile.step_tokens // profile.sequence
    possible = [rows for rows in range(in_step, 0, -1) if in_step % rows == 0]
    return next((rows for rows in possible if estimate(replace(profile, rows=rows)).total <= available), None)


def fit(gigabytes: float) -> Profile | None:
    """The best GPU profile for a device of so many GiB, with the largest micro-batch; None where nothing fits."""
    profiles = sorted((p for p in PROFILES.values() if p.device == "cuda"), key=lambda p: -p.memory_gb)
    meant = [p for p in profiles if CLASS_SHARE * p.memory_gb <= gigabytes] or profiles[-1:]
    for profile in meant:
        if rows := largest_rows(profile, USABLE * gigabytes * GIB):
            return replace(profile, rows=rows)
    return None


def advice(profile: Profile, device_bytes: float | None = None) -> str:
    """What to change after memory ran out, in one line; with the size of the device, how many rows should fit."""
    general = "fewer rows in a micro-batch (profile rows), a shorter context, or a smaller depth need less"
    if device_bytes is None:
        return general
    rows = largest_rows(profile, USABLE * device_bytes)
    if rows is None:
        return f"even one row at a time is too much for {device_bytes / GIB:.0f} GB: a smaller depth or vocabulary"
    if rows >= profile.rows:  # as it was before the patch it would have fitted
        needs = estimate(profile).total / GIB
        return f"the unchanged train.py should need {needs:.1f} of {device_bytes / GIB:.0f} GB; {general}"
    needs = estimate(replace(profile, rows=rows)).total / GIB
    return f"{rows} rows in a micro-batch should need {needs:.1f} GB: [target.sizes] rows = {rows}; or {general}"
