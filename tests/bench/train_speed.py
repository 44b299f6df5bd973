"""Training speed of a profile on the device at hand, beside a plain PyTorch floor of the same shape.

    python -m tests.bench.train_speed --profile cpu --steps 30 --rounds 3 [--device cuda:0] [--phases] [--json]
    python -m tests.bench.train_speed --profile '{"name": "h100", "depth": 24, "float8": true}' --variants floor,ours

`ours` is train.py as it is, in the environment its profile recommends. `floor` is the same model, batch and dtype
with the textbook operators (masked SDPA, F.rms_norm, all logits at once), torch.optim.Muon and AdamW, a
synchronisation every step, no compilation, in a default environment; `floor+env` is that in the recommended
environment. Each variant is a process of its own; they take turns, and the best round counts, so that a busy machine
disturbs all alike. Where the floor's logits do not fit a GPU it gets half of the rows in a micro-batch, and again.

`--phases` also runs a whole experiment (start, train, save, evaluate) and says where its wall time went.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
VARIANTS = ("floor", "floor+env", "ours")
WARM_STEPS = 3


def child(variant: str, profile_spec: str, device_name: str, steps: int) -> dict[str, Any]:
    """Times `steps` steps on made-up tokens in this process."""
    import torch

    from nanochat.device import autocast, compute_dtype, peak_flops, peak_memory, use_kernels
    from nanochat.device import device_name as name_of
    from nanochat.float8 import use_float8
    from nanochat.profiles import load_profile

    target: Any = importlib.import_module("nanochat.train")
    profile, device = load_profile(profile_spec), torch.device(device_name)
    dtype = compute_dtype(device)
    floor = variant != "ours"
    if floor:
        make_plain(target)
    elif device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # as the harness does
    torch.manual_seed(0)
    model = target.build_model(profile).to(device)
    compile_it = device.type == "cuda" and profile.compile and not floor

    class Run:
        compile = staticmethod(lambda function: torch.compile(function, dynamic=False) if compile_it else function)

    muon, adamw = plain_optimizers(model, target) if floor else target.build_optimizers(model, Run)
    if profile.kernels and not floor and (reason := use_kernels(profile.kernels)):
        sys.exit(reason)
    if profile.float8 and not floor:
        use_float8(model)
    network = Run.compile(model)
    shape = (profile.rows, profile.sequence)
    tokens, targets = (torch.randint(profile.vocab, shape, device=device) for _ in range(2))
    micro = profile.step_tokens // (profile.rows * profile.sequence)
    seconds: list[float] = []
    for _ in range(WARM_STEPS + steps):
        began = time.perf_counter()
        loss = torch.zeros((), device=device)
        for _ in range(micro):
            with autocast(device, dtype):
                part = network(tokens, targets) / micro
            part.backward()
            loss += part.detach()
        muon.step()
        adamw.step()
        for optimizer in (muon, adamw):
            optimizer.zero_grad(set_to_none=True)
        if floor:
            loss.item()
        if device.type == "cuda" and len(seconds) in (WARM_STEPS - 1, WARM_STEPS + steps - 1):
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    timed = sorted(seconds[WARM_STEPS:])
    step = sum(timed) / len(timed) if device.type == "cuda" else timed[len(timed) // 4]
    rate = profile.step_tokens / step
    peak = peak_flops(device)
    return {
        "variant": variant,
        "device": name_of(device),
        "depth": profile.depth,
        "rows": profile.rows,
        "tokens_per_s": rate,
        "ms_per_step": 1000 * step,
        "mfu": rate * model.flops_per_token() / peak if peak else None,
        "peak_memory_mb": peak_memory(device) / 1e6,
        "dtype": str(dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def make_plain(target: Any) -> None:
    """Puts the textbook operators into train.py's namespace."""
    import torch
    import torch.nn.functional as F

    def masked_attention(q: Any, k: Any, v: Any, window: int) -> Any:
        position = torch.arange(q.size(1), device=q.device)
        distance = position[:, None] - position
        mask = (distance >= 0) & (distance <= window)
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)

    def plain_loss(hidden: Any, weight: Any, targets: Any, cap: float) -> Any:
        logits = cap * torch.tanh(F.linear(hidden, weight).float() / cap)
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.reshape(-1))

    target.attention = masked_attention
    target.softcap_cross_entropy = plain_loss
    target.rms_norm = lambda x: F.rms_norm(x, (x.size(-1),))
    target.relu_squared = lambda x: F.relu(x).square()


def plain_optimizers(model: Any, target: Any) -> tuple[Any, Any]:
    import torch

    matrices = [p for p in model.blocks.parameters() if min(p.shape) >= 16]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return torch.optim.Muon(matrices, lr=target.MATRIX_LR), torch.optim.AdamW(rest, lr=1e-3, fused=False)


def environment(variant: str, profile_spec: str, threads: str | None) -> dict[str, str]:
    from nanochat.profiles import load_profile

    recommended = load_profile(profile_spec).env()
    env = {k: v for k, v in os.environ.items() if k not in recommended}
    env["PYTHONPATH"] = str(ROOT)
    if threads or "OMP_NUM_THREADS" in recommended:
        recommended["OMP_NUM_THREADS"] = env["OMP_NUM_THREADS"] = threads or recommended["OMP_NUM_THREADS"]
    return env if variant == "floor" else {**env, **recommended}


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    best: dict[str, dict[str, Any]] = {}
    profiles = dict.fromkeys(options.variants, options.profile)
    for round_ in range(options.rounds):
        for variant in options.variants:
            while (found := in_a_process(variant, profiles[variant], options)) is None:
                profiles[variant] = half_the_rows(profiles[variant])
            print(f"round {round_ + 1} {variant:10} {found['tokens_per_s']:10,.0f} tokens/s", file=sys.stderr)
            if variant not in best or found["tokens_per_s"] > best[variant]["tokens_per_s"]:
                best[variant] = found
    for found in best.values():
        slowest = best["floor" if "floor" in best else options.variants[0]]
        found["ratio_to_floor"] = found["tokens_per_s"] / slowest["tokens_per_s"]
    return list(best.values())


def in_a_process(variant: str, profile: str, options: argparse.Namespace) -> dict[str, Any] | None:
    """What a variant measured, or None where it ran out of memory."""
    command = [sys.executable, "-m", "tests.bench.train_speed", "--child", variant]
    command += ["--profile", profile, "--device", options.device, "--steps", str(options.steps)]
    env = environment(variant, profile, options.threads)
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if ended.returncode and "out of memory" in ended.stderr:
        print(f"{variant}: out of memory, with half of the rows", file=sys.stderr)
        return None
    if ended.returncode:
        sys.exit(ended.stderr)
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def half_the_rows(spec: str) -> str:
    from nanochat.profiles import load_profile

    profile = load_profile(spec)
    if profile.rows == 1:
        sys.exit("out of memory, with one row in a micro-batch")
    given = json.loads(spec) if spec.lstrip().startswith("{") else {"name": spec}
    return json.dumps({**given, "rows": profile.rows // 2})


def variants(text: str) -> list[str]:
    chosen = text.split(",")
    if unknown := set(chosen) - set(VARIANTS):
        raise argparse.ArgumentTypeError(f"no variant {', '.join(sorted(unknown))}; there are: {', '.join(VARIANTS)}")
    return chosen


def phases(options: argparse.Namespace) -> dict[str, float]:
    """Wall seconds of one experiment at the profile's own budget, phase by phase."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory)
        prepare = [sys.executable, "-m", "nanochat.prepare", "--profile", options.profile]
        lines = subprocess.run(prepare, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
        env = environment("ours", options.profile, options.threads) | {
            "AR_OUT": str(out), "AR_SRC": str(ROOT / "nanochat"), "AR_EVAL_OUT": str(out), "AR_SEED": "1",
            "AR_DATA": json.loads(lines[-1])["ready"], "AR_PROFILE": options.profile, "AR_DEVICE": options.device,
        }  # fmt: skip
        began, wall = time.perf_counter(), time.time()
        subprocess.run([sys.executable, "train.py"], cwd=ROOT / "nanochat", env=env, check=True)
        trained = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "nanochat.evaluate"], cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL
        )
        ended = time.perf_counter()
        summary = json.loads((out / "train.json").read_text())
        inside = json.loads((out / "result.json").read_text())["seconds"]
        since = json.loads((out / "phase.json").read_text())["since"]
        compiling = since["training"] - since.get("compiling", since["training"])
        save = trained - began - summary["train_seconds"] - (since["training"] - wall)
        outside = (trained - began - summary["train_seconds"]) + (ended - trained - inside)
        return {
            "start": since["training"] - wall - compiling,
            "compile": compiling,
            "train": summary["train_seconds"],
            "save": save,
            "start of the evaluator": ended - trained - inside,
            "evaluate": inside,
            "share outside training and evaluation": outside / (ended - began),
        }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.train_speed", description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="cpu", help="a name, or a JSON object with a name and other sizes")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--variants", type=variants, default=list(VARIANTS), help=f"of {','.join(VARIANTS)}")
    parser.add_argument("--threads", help="CPU threads (default: as the profile recommends)")
    parser.add_argument("--phases", action="store_true", help="also run one whole experiment")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(child(options.child, options.profile, options.device, options.steps)))
        return
    found = measure(options)
    spent = phases(options) if options.phases else {}
    if options.json:
        print(json.dumps({"speed": found, "phases": spent}))
        return
    print(f"{'variant':12}{'tokens/s':>12}{'ms/step':>10}{'peak MB':>10}{'MFU':>8}{'ratio':>8}")
    for row in found:
        mfu = f"{row['mfu']:.1%}" if row["mfu"] else "-"
        print(
            f"{row['variant']:12}{row['tokens_per_s']:12,.0f}{row['ms_per_step']:10.1f}{row['peak_memory_mb']:10.0f}"
            f"{mfu:>8}{row['ratio_to_floor']:8.2f}"
        )
    print(f"{found[0]['dtype']}, torch {found[0]['torch']}, {found[0]['threads']} threads")
    for name, seconds in spent.items():
        print(f"{name:40}{seconds:8.2f}")


if __name__ == "__main__":
    main()
