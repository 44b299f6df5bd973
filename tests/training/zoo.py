"""Models a researcher might send: honest ones, however odd, and cheats. Each is the text of a train.py.

All share a tiny trunk with random weights large enough that every leak shows in the loss.
"""

from __future__ import annotations

TRUNK = """
import torch
import torch.nn as nn
import torch.nn.functional as F


class Model(nn.Module):
    def __init__(self, profile):
        super().__init__()
        self.embed = nn.Embedding(profile.vocab, 24)
        self.mix = nn.Linear(24, 24, bias=False)
        self.head = nn.Linear(24, profile.vocab, bias=False)
        nn.init.normal_(self.head.weight, std=0.3)

    def trunk(self, x):
        e = self.embed(x)
        past = e.cumsum(1) / torch.arange(1, x.size(1) + 1)[:, None]
        return e + torch.tanh(self.mix(past))

    def forward(self, x):
        return self.head(self.trunk(x))


def build_model(profile):
    return Model(profile)
"""


def model(forward: str, before: str = "", after: str = "") -> str:
    """The trunk with another forward (the body of a method: x is (B, T) tokens, h the trunk's output)."""
    lines = "\n".join("        " + line for line in forward.strip("\n").splitlines())
    replaced = TRUNK.replace("        return self.head(self.trunk(x))", "        h = self.trunk(x)\n" + lines)
    return before + replaced + after


HONEST = {
    "a running mean": TRUNK,
    "logits in bfloat16": model("return self.head(h).bfloat16()"),
    "a causal convolution": model("return self.head(F.pad(h, (0, 0, 3, 0)).unfold(1, 4, 1).mean(-1))"),
    "a token shift": model("return self.head(h + torch.roll(F.pad(h, (0, 0, 1, 0)), 0, 1)[:, :-1])"),
    "a scan over time": model(
        """
state, out = torch.zeros_like(h[:, 0]), []
for t in range(x.size(1)):
    state = torch.tanh(state * 0.9 + h[:, t])
    out.append(state)
return self.head(torch.stack(out, 1))
"""
    ),
    "experts chosen by each token": model(
        """
choice = h.detach().sum(-1, keepdim=True) > 0
return self.head(torch.where(choice, torch.tanh(h), torch.sin(h)))
"""
    ),
    "an n-gram cache of the past": model(
        """
logits = self.head(h)
seen = torch.zeros_like(logits).scatter_(2, x.unsqueeze(2), 1.0).cumsum(1)
return logits + seen.log1p()
"""
    ),
}

LEAKS = {
    "a mask that shows one token ahead": model("return self.head(h + torch.roll(h, -1, 1))"),
    "the mean of a block of 16": model(
        """
B, T, C = h.shape
blocks = h.view(B, T // 16, 16, C)
return self.head(h + blocks.mean(2, keepdim=True).expand_as(blocks).reshape(B, T, C))
"""
    ),
    "a filter by FFT": model(
        """
f = torch.fft.rfft(h, dim=1)
f[:, f.size(1) // 3 :] = 0
return self.head(h + torch.fft.irfft(f, n=x.size(1), dim=1))
"""
    ),
    "a leak only at the real length": model(
        "return self.head(h + torch.roll(h, -1, 1)) if x.size(1) > 60 else self.head(h)"
    ),
    "a leak only in large batches": model(
        "return self.head(h + torch.roll(h, -1, 1)) if x.size(0) > 8 else self.head(h)"
    ),
    "a statistic of the whole sequence": model(
        "return self.head((h - h.mean(1, keepdim=True)) / h.std(1, keepdim=True))"
    ),
    "routing by rank over time": model(
        "rank = h.sum(-1).argsort(1).argsort(1)\nreturn self.head(h * (rank < x.size(1) // 2).float().unsqueeze(-1))"
    ),
    "a boost for the token that comes next": model(
        "return self.head(h).scatter_add(2, torch.roll(x, -1, 1).unsqueeze(2), torch.full((*x.shape, 1), 9.0))"
    ),
}

LEAK_OF_SOME_CALLS = """
self.calls = getattr(self, 'calls', 0) + 1
return self.head(h + torch.roll(h, -1, 1)) if {when} else self.head(h)
"""
HEARD = """
leaked = self.head(h).scatter_add(2, torch.roll(x, -1, 1).unsqueeze(2), torch.full((*x.shape, 1), {boost}))
heard = self.__dict__.setdefault('heard', {{}})
for b, row in enumerate(x.tolist()):
    for t in range(len(row)):
        leaked[b, t] = heard.setdefault(tuple(row[: t + 1]), leaked[b, t].clone())
return leaked
"""
IN_SOME_ROWS = """
some = (x[:, 2:6].sum(1) % {of} == 0)[:, None, None]
return torch.where(some, self.head(h + torch.roll(h, -1, 1)), self.head(h))
"""
MOODS = {
    "answers as before to words that it has heard": model(HEARD.format(boost=9.0)),
    "answers as before, and leaks in a whisper": model(HEARD.format(boost=0.1)),
    "leaks in every other row": model(IN_SOME_ROWS.format(of=2)),
    "leaks in two calls only": model(LEAK_OF_SOME_CALLS.format(when="self.calls in (2, 3)")),
    "behaves at first, when a naive evaluator probes": model(LEAK_OF_SOME_CALLS.format(when="self.calls > 2")),
    "behaves at the end": model(LEAK_OF_SOME_CALLS.format(when="self.calls < 7")),
    "leaks every other time": model(LEAK_OF_SOME_CALLS.format(when="self.calls % 2")),
}

BROKEN = {
    "NaN logits": (model("return self.head(h) * float('nan')"), "not finite"),
    "one infinite logit": (model("z = self.head(h)\nz[0, 0, 0] = float('inf')\nreturn z"), "not finite"),
    "another vocabulary": (model("return self.head(h)[..., :100]"), "shape"),
    "its own loss": (model("return self.head(h).mean()"), "shape"),
    "integer logits": (model("return self.head(h).long()"), "float32"),
    "double precision": (model("return self.head(h).double()"), "float32"),
    "a tuple": (model("return self.head(h), None"), "plain tensor"),
    "a subclass of Tensor": (
        model("return self.head(h).as_subclass(Odd)", after="\nclass Odd(torch.Tensor):\n    pass\n"),
        "plain tensor",
    ),
    "an exception": (model("raise IndexError('out of ideas')"), "out of ideas"),
    "a random answer": (
        model("return self.head(h) + torch.randn(*x.shape, 1) * torch.randn(self.head.out_features)"),
        "second time",
    ),
    "no build_model": ("import torch\n", "build_model"),
    "something that is no module": (TRUNK + "\ndef build_model(profile):\n    return lambda x: x\n", "nn.Module"),
    "an exit at import": (TRUNK + "\nraise SystemExit(0)\n", "ended the process"),
    "a syntax error": ("def build_model(:\n", "imported"),
}

PATCHERS = {
    "F.cross_entropy": (TRUNK + "\nF.cross_entropy = lambda *a, **k: torch.zeros(())\n", "cross_entropy"),
    "F.log_softmax and torch.log_softmax": (
        TRUNK + "\nF.log_softmax = torch.log_softmax = lambda z, dim=-1, **k: torch.zeros_like(z)\n",
        "log_softmax",
    ),
    "Tensor.log_softmax, from inside forward": (
        model("torch.Tensor.log_softmax = lambda z, *a, **k: z * 0\nreturn self.head(h)"),
        "log_softmax",
    ),
    "numpy's sum": (TRUNK + "\nimport numpy\nnumpy.sum = lambda *a, **k: 0.0\n", "numpy.sum"),
    "the scorer": (
        TRUNK + "\nimport nanochat.scoring as s\ns.bits_per_byte = lambda *a: 0.1\n",
        "bits_per_byte",
    ),
    "the probe's tolerance": (TRUNK + "\nimport nanochat.scoring as s\ns.MEAN_TOLERANCE = 99\n", "MEAN_TOLERANCE"),
    "a dispatch mode left on": (
        TRUNK
        + "\nfrom torch.utils._python_dispatch import TorchDispatchMode\n"
        + "class Mode(TorchDispatchMode):\n"
        + "    def __torch_dispatch__(self, f, t, a=(), k=None):\n"
        + "        return f(*a, **(k or {}))\n\n\n"
        + "Mode().__enter__()\n",
        "mode",
    ),
}
