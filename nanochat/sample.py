"""Generate text from a run's checkpoint: `python -m nanochat.sample --out RUN/out --src RUN/src --data PREPARED`.

The paths default to AR_OUT, AR_SRC and AR_DATA. The text is the model's own, so control characters are shown as `?`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from data.errors import DataError
from data.prepared import Prepared
from data.tokenizer import load_tokenizer
from nanochat.device import autocast, compute_dtype
from nanochat.model_server import load_model
from nanochat.profiles import ProfileError, load_profile
from nanochat.scoring import Void


def continue_tokens(
    model: torch.nn.Module, tokens: list[int], count: int, context: int, temperature: float, bos: int, seed: int
) -> Iterator[int]:
    """Up to `count` tokens after these, one at a time; ends early where the model ends the document with BOS.

    `temperature` 0 takes the likeliest token. Only the last `context` tokens are seen.
    """
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    tokens = list(tokens)
    for _ in range(count):
        seen = torch.tensor([tokens[-context:]], device=device)
        with torch.inference_mode(), autocast(device, compute_dtype(device)):
            logits = model(seen)[0, -1].float().cpu()
        if temperature > 0:
            chances = torch.softmax(logits / temperature, dim=-1)
            token = int(torch.multinomial(chances, 1, generator=generator))
        else:
            token = int(logits.argmax())
        if token == bos:
            return
        tokens.append(token)
        yield token


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m nanochat.sample", description="Generate text from a checkpoint.")
    parser.add_argument("--out", default=os.environ.get("AR_OUT"), help="directory with model.pt")
    parser.add_argument("--src", default=os.environ.get("AR_SRC"), help="directory with the train.py that made it")
    parser.add_argument("--data", default=os.environ.get("AR_DATA"), help="prepared data, for the tokenizer")
    parser.add_argument("--profile", default=os.environ.get("AR_PROFILE", "cpu"))
    parser.add_argument("--device", default=os.environ.get("AR_DEVICE", "cpu"))
    parser.add_argument("--prompt", default="")
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    for name in ("out", "src", "data"):
        if not getattr(options, name):
            parser.error(f"--{name} is needed (or AR_{name.upper()})")
    try:
        profile, data = load_profile(options.profile), Prepared.open(options.data)
        model = load_model(Path(options.src), Path(options.out), profile, torch.device(options.device))
    except (DataError, ProfileError, Void) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    tokenizer, bos = load_tokenizer(data.path / "tokenizer.json"), int(data.manifest["bos"])
    tokens = [bos, *tokenizer.encode(options.prompt).ids]
    made = continue_tokens(model, tokens, options.tokens, profile.sequence, options.temperature, bos, options.seed)
    text = options.prompt + tokenizer.decode(list(made))
    print("".join(c if c.isprintable() or c in "\n\t" else "?" for c in text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
