"""Twenty models that are unusual and honest: none of them may be voided, and none doubted."""

from __future__ import annotations

from tests.zoo.leaks import attention_of, model
from tests.zoo.stage import Animal
from tests.zoo.tampering import BEGIN, FINISH


def honest(name: str, after: str = "", *swap: tuple[str, str]) -> Animal:
    return Animal(name, "passes", after=after, swap=swap)


HONEST = (
    honest("another learning rate", "", ("MATRIX_LR = 0.04", "MATRIX_LR = 0.02")),
    honest("a wider MLP", "", ("MLP_RATIO = 4", "MLP_RATIO = 6")),
    honest("short windows everywhere", "", ('WINDOW_PATTERN = "SSSL"', 'WINDOW_PATTERN = "S"'),
           ("SHORT_WINDOW = 0.5", "SHORT_WINDOW = 0.1")),
    honest("no cap on the logits", "", ("LOGIT_SOFTCAP = 15.0", "LOGIT_SOFTCAP = 1000.0")),
    honest("logits in bfloat16", model("return logits.bfloat16()")),
    honest("a running mean of the past", model("""
e = self.embed(tokens)
return logits + self.head(e.cumsum(1) / torch.arange(1, tokens.size(1) + 1)[:, None])
""")),
    honest("a convolution padded on the left", model("""
return logits + self.head(F.conv1d(F.pad(self.embed(tokens).mT, (3, 0)), self.past).mT)
""", "self.past = nn.Parameter(torch.randn(self.embed.embedding_dim, self.embed.embedding_dim, 4) * 0.02)")),
    honest("a shift by one token", model("""
return logits + self.head(F.pad(self.embed(tokens), (0, 0, 1, 0))[:, :-1])
""")),
    honest("a recurrent network", model("""
return logits + self.head(self.scan(self.embed(tokens))[0])
""", "self.scan = nn.GRU(self.embed.embedding_dim, self.embed.embedding_dim, batch_first=True)")),
    honest("a hash of the last two tokens", model("""
pair = (tokens * 31 + F.pad(tokens, (1, 0))[:, :-1] * 17) % 256
return logits + self.head(self.pairs(pair))
""", "self.pairs = nn.Embedding(256, self.embed.embedding_dim)")),
    honest("experts that each token chooses for itself", model("""
e = self.embed(tokens)
weight = torch.softmax(self.route(e), -1)
return logits + self.head(weight[..., :1] * torch.tanh(e) + weight[..., 1:] * torch.sin(e))
""", "self.route = nn.Linear(self.embed.embedding_dim, 2)")),
    honest("an n-gram cache of this very row", model("""
seen = F.one_hot(tokens, logits.size(-1)).cumsum(1).to(logits.dtype)
return logits + 0.3 * seen.log1p()
""")),
    honest("normalisation with running statistics", model("""
return logits + self.head(self.norm(self.embed(tokens).mT).mT)
""", "self.norm = nn.BatchNorm1d(self.embed.embedding_dim)")),
    honest("dropout", model("return F.dropout(logits, 0.05, self.training)")),
    honest("attention that forgets with distance", attention_of("""
decay = -(i - j).clamp(min=0) * 0.05
return F.scaled_dot_product_attention(q, k, v, attn_mask=decay.masked_fill(j > i, float("-inf"))).transpose(1, 2)
""")),
    honest("linear attention", attention_of("""
q, k = F.elu(q) + 1, F.elu(k) + 1
scores = (q @ k.mT) * (j <= i)
return (scores @ v / scores.sum(-1, keepdim=True).clamp_min(1e-6)).transpose(1, 2)
""")),
    honest("a bias for every token", model(
        "return logits + self.bias", "self.bias = nn.Parameter(torch.zeros(profile.vocab))")),
    honest("weights averaged over the end of the run", "", (
        "        for optimizer in (muon, adamw):\n",
        "        now = {k: v.clone() for k, v in model.state_dict().items()}\n"
        "        average = {k: average[k].lerp(v, 0.3) for k, v in now.items()} if run.step > 9 else now\n"
        "        for optimizer in (muon, adamw):\n"),
        (FINISH, "    model.load_state_dict(average)\n" + FINISH)),
    honest("batches taken two at a time", model("return logits"), (
        "        muon.step()\n        adamw.step()\n        for optimizer in (muon, adamw):\n",
        "        if run.step % 2 == 0:\n            continue\n"
        "        muon.step()\n        adamw.step()\n        for optimizer in (muon, adamw):\n")),
    honest("a loss that also looks two tokens ahead", model("return logits"), (
        "                part = network(tokens, targets) / len(batch)\n",
        "                further = torch.nn.functional.cross_entropy(\n"
        "                    network(tokens)[:, :-1].flatten(0, 1), targets[:, 1:].flatten())\n"
        "                part = (network(tokens, targets) + 0.2 * further) / len(batch)\n")),
    honest("one model, and the state of the random generator left alone", "", (
        BEGIN, BEGIN + "    state = torch.get_rng_state()\n    torch.rand(3)\n    torch.set_rng_state(state)\n")),
)  # fmt: skip
