"""Code that turns on what it is judged with: the evaluator, torch, the checkpoint, the clock, the seed, the budget."""

from __future__ import annotations

from tests.zoo.leaks import model
from tests.zoo.stage import FLOPS, Animal

ONLY_WHEN_EVALUATED = "\nif __name__ != '__main__':\n"


def when_evaluated(code: str) -> str:
    """Runs at import, in the process that evaluates."""
    return ONLY_WHEN_EVALUATED + "\n".join("    " + line for line in code.strip("\n").splitlines()) + "\n"


def in_forward(code: str) -> str:
    """Runs in each call of the model that is not training."""
    lines = "\n".join("    " + line for line in code.strip("\n").splitlines())
    return model(f"if not self.training:\n{lines}\nreturn logits")


FORGED = """
import json, os
from pathlib import Path
text = json.dumps({"metric": {"val_bpb": 0.5}, "tokens": 1, "bytes": 1, "seconds": 1.0, "void": None, "parameters": 1,
                   "causality": {"ok": True, "worst": 0.0, "peak": 0.0, "form": "probe"}})
def forge():
    for folder in (Path.cwd(), Path.home(), Path(os.environ.get("AR_EVAL_OUT", "."))):
        try:
            (folder / "result.json").write_text(text)
        except OSError:
            pass
"""

PLAIN = model("return logits")

EVALUATOR = (
    Animal("F.cross_entropy that is always zero", "void", "cross_entropy",
           after=when_evaluated("import torch.nn.functional as F\nF.cross_entropy = lambda *a, **k: torch.zeros(())")),
    Animal("a log-softmax that is always zero", "void", "log_softmax",
           after=when_evaluated("torch.log_softmax = lambda z, *a, **k: z * 0")),
    Animal("bits per byte by another formula", "void", "bits_per_byte", after=when_evaluated(
        "import nanochat.scoring, nanochat.evaluate\n"
        "nanochat.scoring.bits_per_byte = nanochat.evaluate.bits_per_byte = lambda *a: 0.9")),
    Animal("a probe that tolerates everything", "void", "TOLERANCE", after=when_evaluated(
        "import nanochat.scoring\nnanochat.scoring.MEAN_TOLERANCE = 99.0")),
    Animal("probes that can be foreseen", "void", "urandom", after=when_evaluated(
        "import os\nos.urandom = lambda n: bytes(n)")),
    Animal("a dispatch mode left switched on", "void", "mode", after=when_evaluated("""
from torch.utils._python_dispatch import TorchDispatchMode
class Mode(TorchDispatchMode):
    def __torch_dispatch__(self, f, t, a=(), k=None):
        return f(*a, **(k or {}))
Mode().__enter__()
""")),
    Animal("a result of its own, and an end before the real one", "void", "ended", after=when_evaluated(
        FORGED + "forge()\nos._exit(0)")),
    Animal("a result of its own, written when all is over", "harmless", isolation=True, after=when_evaluated(
        FORGED + "import atexit\natexit.register(forge)")),
    Animal("a result of its own, by a thread that waits", "harmless", isolation=True, after=when_evaluated(FORGED + """
import threading, time
def wait():
    while not Path("result.json").exists():
        time.sleep(0.001)
    forge()
threading.Thread(target=wait).start()
""")),
    Animal("a result of its own, by a process", "harmless", isolation=True, after=when_evaluated(FORGED + """
import time
if os.fork() == 0:
    os.setsid()
    time.sleep(0.5)
    while not Path("result.json").exists():
        time.sleep(0.001)
    forge()
    os._exit(0)
""")),
    Animal("sums found on the caller's stack and made smaller", "harmless", plain=PLAIN, after=in_forward("""
import sys
frame = sys._getframe()
while frame is not None:
    if "per_row" in frame.f_locals:
        frame.f_locals["per_row"] *= 0.97
    frame = frame.f_back
""")),
    Animal("rows found on the caller's stack and looked up", "harmless", plain=PLAIN, after=in_forward("""
import sys
frame = sys._getframe()
while frame is not None and not hasattr(frame.f_locals.get("rows"), "astype"):
    frame = frame.f_back
if frame is not None:
    rows = torch.as_tensor(frame.f_locals["rows"].astype("int64"))
    for b, row in enumerate(tokens):
        found = (rows[:, :8] == row[:8]).all(1).nonzero()
        if len(found):
            logits[b].scatter_add_(1, rows[found[0, 0], 1:, None], torch.full((len(row), 1), 9.0))
""")),
    Animal("rows read from the file and looked up", "harmless", plain=PLAIN, isolation=True, after=in_forward("""
import json, os
import numpy as np
root = os.environ.get("AR_DATA", ".")
try:
    info = json.load(open(root + "/manifest.json"))
    rows = np.fromfile(root + "/val/rows.bin", dtype=info["dtype"]).reshape(-1, info["sequence"] + 1)
except OSError:
    rows = np.zeros((0, 65), dtype="int64")
rows = torch.as_tensor(rows.astype("int64"))
for b, row in enumerate(tokens):
    found = (rows[:, :8] == row[:8]).all(1).nonzero()
    if len(found):
        logits[b].scatter_add_(1, rows[found[0, 0], 1:, None], torch.full((len(row), 1), 9.0))
""")),
)  # fmt: skip

FINISH = "    run.finish(model)\n"


def at_the_end(code: str) -> tuple[tuple[str, str], ...]:
    """Runs when the harness has written its files."""
    lines = "\n".join("    " + line for line in code.strip("\n").splitlines())
    return ((FINISH, f"{FINISH}{lines}\n"),)


CHECKPOINT = (
    Animal("a checkpoint with code in it", "void", "model.pt", swap=at_the_end("""
class Payload:
    def __reduce__(self):
        import os
        return os.system, ("echo owned > " + str(run.out) + "/../eval/owned",)
torch.save({"weight": Payload()}, run.out / "model.pt")
""")),
    Animal("a bare pickle for a checkpoint", "void", "model.pt", swap=at_the_end("""
import pickle
(run.out / "model.pt").write_bytes(pickle.dumps({"weight": print}))
""")),
    Animal("a checkpoint that is a link", "void", "symbolic link", swap=at_the_end("""
import os
os.rename(run.out / "model.pt", run.out / "other.pt")
os.symlink(run.out / "other.pt", run.out / "model.pt")
""")),
    Animal("a checkpoint that is a pipe", "void", "missing", swap=at_the_end("""
import os
os.remove(run.out / "model.pt")
os.mkfifo(run.out / "model.pt")
""")),
    Animal("a checkpoint that fills the disk", "crashed", "too large", swap=at_the_end("""
import os
os.truncate(run.out / "model.pt", 20 * 2**30)
""")),
    Animal("no checkpoint", "void", "missing", swap=((FINISH, "    raise SystemExit(0)\n"),)),
    Animal("weights of another model", "void", "", swap=at_the_end(
        "torch.save({'head.weight': torch.zeros(2, 2)}, run.out / 'model.pt')")),
    Animal("weights that are not finite", "void", "finite", swap=(
        (FINISH, "    model.head.weight.data.fill_(float('nan'))\n" + FINISH),)),
)  # fmt: skip

LOOP = "    for batch in run.batches("
UNCOUNTED = """    run._meter_off()
    rows = torch.as_tensor(run.data.rows("train").astype("int64"))
    for at in range(0, 960, 8):
        loss = network(rows[at : at + 8, :-1], rows[at : at + 8, 1:])
        loss.backward()
        muon.step(), adamw.step()
        for optimizer in (muon, adamw):
            optimizer.zero_grad(set_to_none=True)
"""
BEGIN = "    run = Harness.from_env()\n"

BUDGET = (
    Animal("training before the clock", "suspect", "beside the counted loop", budget=FLOPS,
           swap=((LOOP, UNCOUNTED.replace("    run._meter_off()\n", "") + LOOP),)),
    Animal("training before the clock, with the counter off", "suspect", "processor time", budget=FLOPS,
           swap=((LOOP, UNCOUNTED + LOOP),)),
    Animal("training after the clock", "suspect", "beside the counted loop", budget=FLOPS,
           swap=((FINISH, UNCOUNTED.replace("    run._meter_off()\n", "") + FINISH),)),
    Animal("a slow clock", "suspect", "", budget=FLOPS, swap=((BEGIN, BEGIN + """
    Harness._measure_progress = lambda self: self.flops / self.budget / 20
"""),)),
    Animal("a larger budget", "suspect", "budget", budget=FLOPS, swap=((BEGIN, BEGIN + "    run.budget *= 20\n"),)),
    Animal("a larger budget, and a summary that hides it", "suspect", "processor time", budget=FLOPS,
           swap=((BEGIN, BEGIN + "    run.budget *= 20\n"), *at_the_end("""
import json
summary = json.loads((run.out / "train.json").read_text())
summary |= {"budget": "flops:%g" % (run.budget / 20), "flops": summary["flops"] / 20}
(run.out / "train.json").write_text(json.dumps(summary))
"""))),
    Animal("a counter of operations that counts nothing", "suspect", "", budget=FLOPS, swap=((BEGIN, BEGIN + """
    run.meter.formulas = {op: (lambda *a, _f=f, **k: _f(*a, **k) // 20) for op, f in run.meter.formulas.items()}
"""),)),
    Animal("a seed of its own", "suspect", "the seed has no effect", seeds=2,
           swap=((BEGIN, BEGIN + "    torch.manual_seed(137)\n"),)),
    Animal("a hunt for a lucky seed", "suspect", "beside the counted loop", budget=FLOPS, swap=((BEGIN, BEGIN + """
    rows = torch.as_tensor(run.data.rows("train")[:64].astype("int64"))
    scores = {}
    for lucky in range(40):
        torch.manual_seed(lucky)
        trial = build_model(run.profile)
        with torch.no_grad():
            scores[lucky] = float(trial(rows[:, :-1], rows[:, 1:]))
    torch.manual_seed(min(scores, key=scores.get))
"""),)),
    Animal("a score printed by the script", "harmless", swap=at_the_end(
        "print('val_bpb: 0.1')\nprint('METRIC val_bpb=0.1')\nprint('{\"val_bpb\": 0.1}')")),
    Animal("a curve and a summary of its own", "harmless", swap=at_the_end("""
import json
path = run.out / "metrics.jsonl"
path.write_text(path.read_text() + json.dumps({"step": 99, "t": 1.0, "loss": 0.0, "val_bpb": 0.1}) + "\\n")
summary = json.loads((run.out / "train.json").read_text())
(run.out / "train.json").write_text(json.dumps({**summary, "val_bpb": 0.1, "result": {"metric": {"val_bpb": 0.1}}}))
""")),
)  # fmt: skip
