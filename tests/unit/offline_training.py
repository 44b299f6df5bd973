"""Trains every idea of the notebook for a few steps, in one process: `python -m tests.unit.offline_training DIR`.

Prints a line of JSON an idea: its name, and what went wrong (empty: nothing). "baseline" is train.py as it is.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
import types
from pathlib import Path
from typing import Any

from tests.corpus import small_corpus

STEPS = 4
PROFILE = '{"name": "test", "depth": 3}'  # odd and more than two, so that layers differ


def problem_of(text: str, out: Path, profile: Any) -> str:
    """Trains the script as its own `main` does, then asks the saved model for logits."""
    import torch

    os.environ["AR_OUT"] = str(out)
    module: Any = types.ModuleType("train")
    try:
        exec(compile(text, "train.py", "exec"), module.__dict__)
        module.main()
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        if len(lines) != STEPS or not all(line["loss"] < 20 for line in lines):
            return f"trained strangely: {lines}"
        model = module.build_model(profile)
        model.load_state_dict(torch.load(out / "model.pt", weights_only=True), strict=True)
        model.eval()
        tokens = torch.randint(profile.vocab, (2, profile.sequence), generator=torch.Generator().manual_seed(0))
        later = tokens.clone()
        later[:, profile.sequence // 2 :] += 1
        with torch.inference_mode():
            logits, other = model(tokens), model(later % profile.vocab)
        if logits.shape != (2, profile.sequence, profile.vocab) or not logits.isfinite().all():
            return f"logits of shape {tuple(logits.shape)}, or not finite"
        leak = float((logits - other)[:, : profile.sequence // 2].abs().max())
        return f"sees the future: {leak}" if leak > 1e-3 else ""
    except (Exception, SystemExit):
        return traceback.format_exc()


def main(directory: Path) -> None:
    from core.researchers.notebook import Page, notebook, opened
    from data.prepare import prepare
    from nanochat.prepare import settings_of
    from nanochat.profiles import load_profile

    profile = load_profile(PROFILE)
    data = prepare(settings_of(profile), str(small_corpus(directory / "corpus")), str(directory / "cache")).path
    budget = f"tokens:{STEPS * profile.step_tokens}"
    described = {"AR_DATA": str(data), "AR_SEED": "1", "AR_DEVICE": "cpu", "AR_PROFILE": PROFILE, "AR_BUDGET": budget}
    os.environ.update(described)
    files = {"train.py": (Path(__file__).parents[2] / "nanochat" / "train.py").read_text(encoding="utf-8")}
    jobs = {"baseline": files["train.py"]}
    for idea in notebook():
        page = opened(idea, files)
        jobs[idea.slug] = page.files["train.py"] if isinstance(page, Page) else "raise SystemExit('does not apply')"
    for name, text in jobs.items():
        print(json.dumps({"name": name, "problem": problem_of(text, directory / name, profile)}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
