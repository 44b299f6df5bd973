"""The one file a researcher edits: a small GPT, its optimizers, its schedules and the training loop.

It is read from the top: constants, model, optimizers, schedules, loop. The harness (frozen) owns the clock,
the seed, the data order, the log and the checkpoint; evaluation happens afterwards in another process,
which imports this file for `build_model` and takes logits from `model(tokens)`. Lower val_bpb is better.
program.md has the rules.
"""

import torch
import torch.nn as nn

from nanochat.harness import Harness
from nanochat.ops import attention, relu_squared, rms_norm, softcap, softcap_cross_entropy, to_compute_dtype

# -----------------------------------------------------------------------------
# What can be tuned. Sizes (depth, width, heads, context, batch) come from the profile.

MLP_RATIO = 4  # hidden width of the MLP, times the model's
ROPE_BASE = 10000.0  # wavelength base of the rotary embeddings
WINDOW_PATTERN = "SSSL"  # attention window layer by layer, repeated: Short or Long; the last layer is always Long
SHORT_WINDOW = 0.5  # a short window, as a share of the context
LOGIT_SOFTCAP = 15.0  # logits are squashed into (-cap, cap)
VALUE_GATE_CHANNELS = 32  # channels of the residual stream that decide how much value embedding to mix in
VALUE_GATE_RANGE = 2.0  # the gate's maximum; at initialisation it stands at half of it
RESID_INIT = 1.0  # how much of the residual stream enters a layer
X0_INIT = 0.1  # and how much of the normalised token embedding beside it

EMBED_STD = 1.0  # initial std of the token embeddings
HEAD_STD = 0.001  # of the output head: small, so that the first predictions are uniform
MATRIX_INIT = 1.0  # scale of the uniform initialisation of the matrices, times 1/sqrt(fan in)
FC_INIT = 1.0  # the same for the first matrix of the MLP, on top of MATRIX_INIT

MATRIX_LR = 0.04  # Muon
EMBED_LR = 0.3  # AdamW; at width 768, and scaled by (width / 768)^-0.5 like the two below
VALUE_EMBED_LR = 0.3  # AdamW, the value embeddings
HEAD_LR = 0.008  # AdamW, the output head and the value gates
SCALAR_LR = 0.5  # AdamW, the x0 scalars; not scaled
RESID_LR = 0.005  # AdamW, the residual scalars; they multiply through the layers, so gently
ADAM_BETA1 = 0.8  # of the running mean; one pair of betas for all AdamW groups
ADAM_BETA2 = 0.95  # of the running square
ADAM_EPS = 1e-10  # added to its root
VALUE_EMBED_DECAY = 0.0  # decoupled weight decay of the value embeddings
MUON_BETA2 = 0.95  # of Muon's running second moment, one number a row or column
MUON_STEPS = 5  # iterations of the orthogonalisation, at most 5
MATRIX_DECAY = 0.2  # weight decay of the matrices, at the start of its schedule

WARMUP = 0.0  # share of the budget in which the learning rates rise
WARMDOWN = 0.5  # share at the end in which they fall
FINAL_LR = 0.0  # what is left of them at the very end
MOMENTUM_START = 0.85  # Muon's momentum at first
MOMENTUM_END = 0.95  # and from the end of its ramp on
MOMENTUM_RAMP = 0.33  # share of the budget in which it rises from the one to the other

# -----------------------------------------------------------------------------
# Model


def rotate(x, cos, sin):
    """Rotary embedding of x (B, T, H, D); cos and sin are (T, 1, D/2)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos + b * sin, b * cos - a * sin], dim=-1)


def has_value_embedding(layer, depth):
    """Every other layer, and always the last."""
    return layer % 2 == (depth - 1) % 2


class Attention(nn.Module):
    def __init__(self, width, heads, value_embedding):
        super().__init__()
        self.heads, self.head_dim = heads, width // heads
        self.q = nn.Linear(width, width, bias=False)
        self.k = nn.Linear(width, width, bias=False)
        self.v = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(min(VALUE_GATE_CHANNELS, width), heads, bias=False) if value_embedding else None

    def forward(self, x, value_embedding, cos, sin, window):
        B, T, C = x.shape
        q = self.q(x).view(B, T, self.heads, self.head_dim)
        k = self.k(x).view(B, T, self.heads, self.head_dim)
        v = self.v(x).view(B, T, self.heads, self.head_dim)
        if self.gate is not None:
            # what a token is by itself goes straight into the values, as much as each head asks for
            gate = VALUE_GATE_RANGE * torch.sigmoid(self.gate(x[..., : self.gate.in_features]))  # (B, T, H)
            v = v + gate.unsqueeze(-1) * value_embedding.view(B, T, self.heads, self.head_dim)
        cos, sin = cos.to(q.dtype), sin.to(q.dtype)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        q, k = rms_norm(q), rms_norm(k)  # QK-norm: attention logits cannot blow up
        y = attention(q, k, v, window)
        return self.out(y.reshape(B, T, C))


class MLP(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc = nn.Linear(width, MLP_RATIO * width, bias=False)
        self.out = nn.Linear(MLP_RATIO * width, width, bias=False)

    def forward(self, x):
        return self.out(relu_squared(self.fc(x)))


class Block(nn.Module):
    def __init__(self, width, heads, value_embedding):
        super().__init__()
        self.attention = Attention(width, heads, value_embedding)
        self.mlp = MLP(width)

    def forward(self, x, value_embedding, cos, sin, window):
        x = x + self.attention(rms_norm(x), value_embedding, cos, sin, window)
        return x + self.mlp(rms_norm(x))


class GPT(nn.Module):
    def __init__(self, profile):
        super().__init__()
        depth, width, heads = profile.depth, profile.width, profile.heads
        self.windows = attention_windows(depth, profile.sequence)
        self.embed = nn.Embedding(profile.vocab, width)
        self.value_embeds = nn.ModuleDict(
            {str(i): nn.Embedding(profile.vocab, width) for i in range(depth) if has_value_embedding(i, depth)}
        )
        self.blocks = nn.ModuleList(Block(width, heads, has_value_embedding(i, depth)) for i in range(depth))
        self.head = nn.Linear(width, profile.vocab, bias=False)
        self.resid_scale = nn.Parameter(torch.full((depth,), RESID_INIT))
        self.x0_scale = nn.Parameter(torch.full((depth,), X0_INIT))
        cos, sin = rotary_tables(profile.sequence, width // heads)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self):
        width = self.embed.embedding_dim
        bound = MATRIX_INIT * 3**0.5 * width**-0.5  # uniform(-bound, bound) has std MATRIX_INIT / sqrt(width)
        nn.init.normal_(self.embed.weight, std=EMBED_STD)
        nn.init.normal_(self.head.weight, std=HEAD_STD)
        for table in self.value_embeds.values():
            nn.init.uniform_(table.weight, -bound, bound)
        for block in self.blocks:
            for matrix in (block.attention.q, block.attention.k, block.attention.v):
                nn.init.uniform_(matrix.weight, -bound, bound)
            nn.init.uniform_(block.mlp.fc.weight, -bound * FC_INIT, bound * FC_INIT)
            # what writes into the residual stream starts at zero: at first a block does nothing
            nn.init.zeros_(block.attention.out.weight)
            nn.init.zeros_(block.mlp.out.weight)
            if block.attention.gate is not None:
                nn.init.zeros_(block.attention.gate.weight)  # sigmoid(0) = 1/2: gates start half open

    def forward(self, tokens, targets=None):
        """Logits (B, T, V) for tokens (B, T); with targets (B, T), the mean cross-entropy instead."""
        T = tokens.size(1)
        x0 = x = to_compute_dtype(rms_norm(self.embed(tokens)))  # the residual stream: bfloat16 where that is fast
        cos, sin = self.cos[:T], self.sin[:T]
        for i, block in enumerate(self.blocks):
            x = self.resid_scale[i] * x + self.x0_scale[i] * x0
            value_embedding = self.value_embeds[str(i)](tokens) if str(i) in self.value_embeds else None
            x = block(x, value_embedding, cos, sin, self.windows[i])
        x = rms_norm(x)
        if targets is None:
            return softcap(self.head(x), LOGIT_SOFTCAP)
        return softcap_cross_entropy(x, self.head.weight, targets, LOGIT_SOFTCAP)

    def flops_per_token(self):
        """FLOPs of one token forward and backward, for the utilisation gauge: 6 a weight, 12 a key seen and channel."""
        weights = sum(p.numel() for p in self.blocks.parameters()) + self.head.weight.numel()
        keys = sum(min(window + 1, len(self.cos)) for window in self.windows)
        return 6 * weights + 12 * keys * self.embed.embedding_dim


def attention_windows(depth, sequence):
    """How many earlier tokens each layer sees: SHORT_WINDOW of the context, or all of it."""
    short = max(1, round(SHORT_WINDOW * sequence))
    pattern = [short if WINDOW_PATTERN[i % len(WINDOW_PATTERN)] == "S" else sequence for i in range(depth)]
    return [*pattern[:-1], sequence]


def rotary_tables(sequence, head_dim):
    """cos and sin, each (T, 1, D/2)."""
    frequencies = ROPE_BASE ** -(torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angles = torch.arange(sequence, dtype=torch.float32)[:, None, None] * frequencies
    return angles.cos(), angles.sin()


def build_model(profile):
    """The model for a profile, initialised. The evaluator builds it with this too, then loads the checkpoint."""
    return GPT(profile)


# -----------------------------------------------------------------------------
# Optimizers: Muon for the matrices of the blocks, AdamW for everything else

# coefficients of the polynomial in each iteration (Polar Express, arXiv 2505.16932)
POLAR_EXPRESS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)


def orthogonalize(g):
    """The nearest matrices with all singular values 1, roughly; g is (N, rows, cols) with rows <= cols."""
    g = g / (g.norm(dim=(-2, -1), keepdim=True) * 1.02 + 1e-6)
    for a, b, c in POLAR_EXPRESS[:MUON_STEPS]:
        gram = g @ g.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)  # b gram + c gram gram
        g = torch.baddbmm(g, polynomial, g, beta=a)
    return g


def muon_step(weights, grads, momentum_buffer, second_moment, lr, momentum, decay):
    """One update of stacked weights (N, rows, cols), rows <= cols; lr is (N, 1, 1), momentum and decay 0-d.

    Nesterov momentum, orthogonalised, the parts of every neuron then brought to equal size over time (NorMuon), and
    weight decay only where it does not fight the update (cautious).
    """
    momentum_buffer.lerp_(grads, 1 - momentum)
    update = orthogonalize(grads.lerp(momentum_buffer, momentum).to(MUON_DTYPE[grads.device.type])).float()
    size = update.norm(dim=(-2, -1), keepdim=True)
    second_moment.lerp_(update.square().mean(dim=neurons(update), keepdim=True), 1 - MUON_BETA2)
    update = update * second_moment.clamp_min(1e-10).rsqrt()
    update = update * (size / update.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-10))
    agree = (update * weights) >= 0
    weights.sub_(lr * (update + decay * weights * agree))


def neurons(stacked):
    """The dimension to average over: orthogonal rows are of one size already, the columns of a wide matrix are not."""
    return -1 if stacked.size(-2) == stacked.size(-1) else -2


MUON_DTYPE = {"cuda": torch.bfloat16, "cpu": torch.float32}


class Muon(torch.optim.Optimizer):
    """Matrices of one shape are stacked and updated together; a tall one is laid on its side first."""

    def __init__(self, parameters, lr, step):
        parameters = list(parameters)
        shapes = sorted({tuple(sorted(p.shape)) for p in parameters})
        groups = [{"params": [p for p in parameters if tuple(sorted(p.shape)) == s]} for s in shapes]
        super().__init__(groups, {"lr": lr, "initial_lr": lr, "momentum": MOMENTUM_START, "decay": MATRIX_DECAY})
        self.update = step

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            params = group["params"]
            weights = torch.stack([lay(p) for p in params])
            grads = torch.stack([lay(p.grad) for p in params])
            state = self.state[params[0]]
            if not state:
                state["momentum"] = torch.zeros_like(grads)
                state["second"] = torch.zeros_like(grads.narrow(neurons(grads), 0, 1))
                # a matrix that widens is stepped further, so that every output moves as much
                scale = torch.tensor([max(1.0, p.size(0) / p.size(1)) ** 0.5 for p in params])
                state["scale"] = scale[:, None, None].to(weights.device)
            lr = group["lr"] * state["scale"]
            # tensors, not numbers: a compiled update would be compiled anew for every other number
            momentum = torch.full((), group["momentum"], device=weights.device)
            decay = torch.full((), group["decay"], device=weights.device)
            self.update(weights, grads, state["momentum"], state["second"], lr, momentum, decay)
            upright = [w if w.shape == p.shape else w.mT for p, w in zip(params, weights, strict=True)]
            torch._foreach_copy_(params, upright)


def lay(matrix):
    return matrix if matrix.size(0) <= matrix.size(1) else matrix.mT


class AdamW(torch.optim.Optimizer):
    """AdamW by torch's fused kernel; torch.optim.AdamW would import the compiler at its first step (1.3 s on a CPU)."""

    def __init__(self, groups):
        super().__init__(groups, {"eps": ADAM_EPS})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            params = group["params"]
            for p in params:
                if not self.state[p]:
                    zero = torch.zeros((), device=p.device)
                    self.state[p] = {"mean": torch.zeros_like(p), "square": torch.zeros_like(p), "steps": zero}
            means, squares, steps = ([self.state[p][name] for p in params] for name in ("mean", "square", "steps"))
            torch._foreach_add_(steps, 1)
            (beta1, beta2), grads = group["betas"], [p.grad for p in params]
            constants = {"lr": group["lr"], "beta1": beta1, "beta2": beta2, "eps": group["eps"]}
            constants |= {"weight_decay": group["weight_decay"], "amsgrad": False, "maximize": False}
            torch._fused_adamw_(params, grads, means, squares, [], steps, **constants)


def build_optimizers(model, run):
    width_scale = (model.embed.embedding_dim / 768) ** -0.5
    gates = [b.attention.gate.weight for b in model.blocks if b.attention.gate is not None]
    matrices = [p for p in model.blocks.parameters() if not any(p is g for g in gates)]

    def group(parameters, lr, decay=0.0, betas=(ADAM_BETA1, ADAM_BETA2)):
        return {"params": list(parameters), "lr": lr, "initial_lr": lr, "weight_decay": decay, "betas": betas}

    groups = [
        group(model.head.parameters(), HEAD_LR * width_scale),
        group(model.embed.parameters(), EMBED_LR * width_scale),
        group(model.value_embeds.parameters(), VALUE_EMBED_LR * width_scale, VALUE_EMBED_DECAY),
        group(gates, HEAD_LR * width_scale),
        group([model.resid_scale], RESID_LR),
        group([model.x0_scale], SCALAR_LR),
    ]
    return Muon(matrices, MATRIX_LR, run.compile(muon_step)), AdamW(groups)


# -----------------------------------------------------------------------------
# Schedules: functions of the share of the budget used, in [0, 1], never of the step


def lr_scale(progress):
    """Up over WARMUP, flat, then down to FINAL_LR over WARMDOWN."""
    if progress < WARMUP:
        return (progress + 1e-3) / (WARMUP + 1e-3)
    left = min(1.0, (1.0 - progress) / max(WARMDOWN, 1e-9))
    return FINAL_LR + (1.0 - FINAL_LR) * left


def momentum_at(progress):
    ramp = min(1.0, progress / max(MOMENTUM_RAMP, 1e-9))
    return MOMENTUM_START + (MOMENTUM_END - MOMENTUM_START) * ramp


def decay_scale(progress):
    """Weight decay of the matrices falls linearly to nothing."""
    return 1.0 - progress


# -----------------------------------------------------------------------------


def main():
    run = Harness.from_env()
    model = build_model(run.profile).to(run.device)
    muon, adamw = build_optimizers(model, run)
    network = run.compile(model)
    for batch in run.batches(model, muon, adamw, flops_per_token=model.flops_per_token()):
        scale = lr_scale(run.progress)
        for group in (*muon.param_groups, *adamw.param_groups):
            group["lr"] = group["initial_lr"] * scale
        for group in muon.param_groups:
            group["momentum"] = momentum_at(run.progress)
            group["decay"] = MATRIX_DECAY * decay_scale(run.progress)

        loss = 0.0
        for tokens, targets in batch:  # micro-batches: as many as it takes to fill a step
            with run.autocast():
                part = network(tokens, targets) / len(batch)
            part.backward()
            loss += part.detach()
        loss = run.average(model, loss)  # over devices, if there are several

        norm = run.grad_norm(model)
        muon.step()
        adamw.step()
        for optimizer in (muon, adamw):
            optimizer.zero_grad(set_to_none=True)
        run.log(loss=loss, lr=scale * MATRIX_LR, grad_norm=norm)
    run.finish(model)


if __name__ == "__main__":
    main()
