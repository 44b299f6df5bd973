"""What the sample lab researches: a training script, edits of it, and what it prints."""

from __future__ import annotations

TRAIN = '''\
"""A small GPT, from the first import to the last step. The one file a researcher edits."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from nanochat.harness import Harness

DEPTH = 4
HEAD_DIM = 64
WINDOW = "SSSL"            # S: short attention window, L: the whole context
SHORT_WINDOW = 0.5         # share of the context
SOFTCAP = 15.0
MATRIX_LR = 0.02
EMBED_LR = 0.3
BETAS = (0.8, 0.95)
WEIGHT_DECAY = 0.1
WARMUP = 0.02
COOLDOWN = 0.4


def norm(x):
    return F.rms_norm(x, (x.size(-1),))


def rotate(x, cos, sin):
    half = x.size(-1) // 2
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos + b * sin, b * cos - a * sin), dim=-1)


class Attention(nn.Module):
    def __init__(self, width, heads, window):
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x, value, cos, sin):
        batch, time, width = x.shape
        q, k, v = self.qkv(x).view(batch, time, 3, self.heads, -1).unbind(2)
        q, k = rotate(norm(q), cos, sin), rotate(norm(k), cos, sin)
        v = v + value
        y = attend(q, k, v, self.window)
        return self.out(y.reshape(batch, time, width))


class Block(nn.Module):
    def __init__(self, width, heads, window):
        super().__init__()
        self.attention = Attention(width, heads, window)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x, value, cos, sin):
        x = x + self.attention(norm(x), value, cos, sin)
        return x + self.down(F.relu(self.up(norm(x))).square())


def schedule(progress):
    """Learning rate as a share of its peak; `progress` is the share of the budget that is used."""
    if progress < WARMUP:
        return progress / WARMUP
    if progress > 1 - COOLDOWN:
        return (1 - progress) / COOLDOWN
    return 1.0


def decay(progress):
    return WEIGHT_DECAY * (1 - progress)


def main():
    run = Harness.from_env()
    model = build_model(run.profile).to(run.device)
    optimizers = build_optimizers(model)
    for batch in run.batches():
        loss = model.loss(batch)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * schedule(run.progress)
            optimizer.step()
        run.log(loss=loss, lr=schedule(run.progress), grad_norm=norm)
    run.finish(model)


if __name__ == "__main__":
    main()
'''

QK_NORM = (
    ("SOFTCAP = 15.0\n", "SOFTCAP = 15.0\nQK_SCALE = 1.2            # sharpens the attention that QK-norm flattens\n"),
    ("        y = attend(q, k, v, self.window)\n", "        y = attend(q * QK_SCALE, k, v, self.window)\n"),
    ("    return WEIGHT_DECAY * (1 - progress)\n", "    return WEIGHT_DECAY * (1 - progress) ** 2\n"),
)
"""three hunks"""
WINDOW = (("SHORT_WINDOW = 0.5 ", "SHORT_WINDOW = 0.33"),)
BROKEN = (("def decay(progress):\n", "def decay(progress:\n"),)
TITLES = (
    "Sharpen QK-norm with a multiplier",
    "Short window of a third of the context",
    "Weight decay on value embeddings",
    "AdamW betas per group",
    "Cosine weight decay",
    "Smaller initialisation of the output projection",
    "MATRIX_LR 0.02 -> 0.027",
    "EMBED_LR 0.3 -> 0.21",
    "COOLDOWN 0.4 -> 0.55",
    "SOFTCAP 15 -> 22",
)
LOG = "step {step:05d} ({percent:.1f}%) | loss: {loss:.6f} | lrm: 1.00 | dt: 84ms | tok/sec: 48,211\r"
TRACEBACK = """\
Traceback (most recent call last):
  File "/trial/src/train.py", line 91, in <module>
    main()
  File "/trial/src/train.py", line 79, in main
    loss = model.loss(batch)
  File "/trial/src/train.py", line 44, in forward
    y = attend(q * QK_SCALE, k, v, self.window)
RuntimeError: The size of tensor a (64) must match the size of tensor b (32) at non-singleton dimension 3
"""
