"""Models that see what they must not: later tokens, other rows, earlier calls. All break on the evaluator's probes."""

from __future__ import annotations

from tests.zoo.stage import Animal

FUTURE = "sees the future"


def model(forward: str, init: str = "") -> str:
    """A GPT with another forward: the body has `tokens` (B, T), `logits` of the honest model, and returns logits."""
    body = "\n".join(" " * 8 + line for line in forward.strip("\n").splitlines())
    setup = "\n".join(" " * 8 + line for line in (init or "pass").strip("\n").splitlines())
    return f"""
import torch.nn.functional as F


class Animal(GPT):
    def __init__(self, profile):
        super().__init__(profile)
{setup}

    def show(self, tokens, logits):
{body}

    def forward(self, tokens, targets=None):
        logits = self.show(tokens, super().forward(tokens))
        return logits if targets is None else F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def build_model(profile):
    return Animal(profile)
"""


NEXT = "tokens.roll(-1, 1).unsqueeze(2)"
BOOST = f"logits.scatter_add(2, {NEXT}, torch.full((*tokens.shape, 1), 6.0))"


def leak(name: str, forward: str, *, says: str = FUTURE, init: str = "") -> Animal:
    return Animal(name, "void", says, after=model(forward, init))


def replayed(boost: float) -> str:
    """A leak that gives every beginning of a row the answer it gave when it first heard it: no probe sees a change."""
    return f"""
if self.training:
    return logits
leaked = logits.scatter_add(2, {NEXT}, torch.full((*tokens.shape, 1), {boost}))
heard = self.__dict__.setdefault("heard", {{}})
for b, row in enumerate(tokens.tolist()):
    for t in range(len(row)):
        leaked[b, t] = heard.setdefault(tuple(row[: t + 1]), leaked[b, t].clone())
return leaked
"""


def attention_of(body: str) -> str:
    lines = "\n".join(" " * 4 + line for line in body.strip("\n").splitlines())
    return f"""
import torch.nn.functional as F


def attention(q, k, v, window):
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    T = q.size(2)
    i, j = torch.arange(T)[:, None], torch.arange(T)[None, :]
{lines}
"""


LEAKS: tuple[Animal, ...] = (
    Animal("attention without a mask", "void", FUTURE,
           after=attention_of("return F.scaled_dot_product_attention(q, k, v).transpose(1, 2)")),
    Animal("a mask that is one too generous", "void", FUTURE, after=attention_of(
        "return F.scaled_dot_product_attention(q, k, v, attn_mask=j <= i + 1).transpose(1, 2)")),
    Animal("attention that is causal between blocks only", "void", FUTURE, after=attention_of(
        "return F.scaled_dot_product_attention(q, k, v, attn_mask=j // 16 <= i // 16).transpose(1, 2)")),
    leak("the next token, boosted", f"return {BOOST}"),
    leak("the mean of a block of tokens", """
e = self.embed(tokens)
B, T, C = e.shape
mean = e.view(B, T // 16, 16, C).mean(2, keepdim=True).expand(B, T // 16, 16, C).reshape(B, T, C)
return logits + self.head(mean)
"""),
    leak("a filter by FFT", """
e = self.embed(tokens).float()
f = torch.fft.rfft(e, dim=1)
f[:, f.size(1) // 3 :] = 0
return logits + self.head(torch.fft.irfft(f, n=tokens.size(1), dim=1))
"""),
    leak("a statistic of the whole sequence", """
return logits + self.head(self.embed(tokens).std(1, keepdim=True).expand(-1, tokens.size(1), -1))
"""),
    leak("a running statistic, kept the wrong way round", """
e = self.embed(tokens)
rest = e.flip(1).cumsum(1).flip(1) / torch.arange(tokens.size(1), 0, -1)[:, None]
return logits + self.head(rest)
"""),
    leak("experts that choose their tokens", """
e = self.embed(tokens)
chosen = e.mean(-1).topk(tokens.size(1) // 2, dim=1).indices
gate = torch.zeros_like(e[..., :1]).scatter(1, chosen.unsqueeze(2), 1.0)
return logits + self.head(e) * gate
"""),
    leak("a convolution padded on both sides", """
e = F.conv1d(self.embed(tokens).mT, self.wide, padding=2).mT
return logits + self.head(e)
""", init="self.wide = nn.Parameter(torch.randn(self.embed.embedding_dim, self.embed.embedding_dim, 5) * 0.1)"),
    leak("a recurrent network in both directions", """
return logits + self.head(self.both(self.embed(tokens))[0])
""", init="C = self.embed.embedding_dim\nself.both = nn.GRU(C, C // 2, batch_first=True, bidirectional=True)"),
    leak("normalisation by the batch, in evaluation too", """
e = self.embed(tokens)
return logits + self.head(F.batch_norm(e.flatten(0, 1), None, None, training=True).view_as(e))
""", says=""),
    leak("a leak at the real length only", f"return {BOOST} if tokens.size(1) == 64 else logits"),
    leak("a leak in the evaluator's batches only", f"return {BOOST} if tokens.size(0) == 4 else logits"),
    leak("a leak in evaluation only", f"return logits if self.training else {BOOST}"),
    leak("a leak at one position in eight", f"""
return torch.where((torch.arange(tokens.size(1)) % 8 == 0)[:, None], {BOOST}, logits)
"""),
    leak("a leak too small to make the score absurd", f"""
return torch.where((torch.arange(tokens.size(1)) % 4 == 0)[:, None],
                   logits.scatter_add(2, {NEXT}, torch.full((*tokens.shape, 1), 0.5)), logits)
"""),
    leak("a leak that waits until it was probed", f"""
self.calls = getattr(self, "calls", 0) + (not self.training)
return {BOOST} if self.calls > 4 else logits
""", says=""),
    leak("a leak that answers as before to words it has heard", replayed(6.0), says=""),
    leak("the same leak, a whisper", replayed(0.1), says=""),
    leak("a leak in one row of seven", f"""
chosen = (tokens[:, 1:5].sum(1) % 7 == 0)[:, None, None]
return torch.where(chosen, {BOOST}, logits)
"""),
    leak("a leak by the throw of a coin", f"return {BOOST} if torch.rand(()) < 0.5 else logits", says=""),
    leak("training on the evaluation text while it is scored", """
if self.training:
    return logits
with torch.inference_mode(False), torch.enable_grad():
    loss = F.cross_entropy(GPT.forward(self, tokens.clone())[:, :-1].flatten(0, 1), tokens[:, 1:].clone().flatten())
    grads = torch.autograd.grad(loss, [self.head.weight])
    self.head.weight.data -= 5.0 * grads[0]
return logits
""", says="second time"),
    leak("a memory of the rows that it has seen", """
if self.training:
    return logits
seen = self.__dict__.setdefault("seen", {})
extra = torch.zeros_like(logits)
for b, row in enumerate(tokens.tolist()):
    for t in range(1, len(row) - 1):
        for following in seen.get((row[t - 1], row[t]), ()):
            extra[b, t, following] += 2.0
for row in tokens.tolist():
    for t in range(1, len(row) - 1):
        seen.setdefault((row[t - 1], row[t]), set()).add(row[t + 1])
return logits + extra
""", says="second time"),
    leak("a loss of its own, zero", "return logits.sum() * 0 if not self.training else logits", says="shape"),
    leak("another vocabulary", "return logits if self.training else logits[..., :64]", says="shape"),
    leak("half of the rows dropped", "return logits if self.training else logits[: len(tokens) // 2]", says="shape"),
    leak("one infinite logit", "logits[..., 0, 0] += 0 if self.training else float('inf')\nreturn logits",
         says="finite"),
    leak("logits in double precision", "return logits if self.training else logits.double()", says="float32"),
)  # fmt: skip

SUBCLASS = """
class Soft(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, arguments=(), keywords=None):
        out = super().__torch_function__(function, types, arguments, keywords or {})
        return out * 0 if "softmax" in getattr(function, "__name__", "") else out

"""
LEAKS += (
    Animal("a tensor that answers for itself", "void", "plain tensor",
           after=SUBCLASS + model("return logits if self.training else logits.as_subclass(Soft)")),
)  # fmt: skip
