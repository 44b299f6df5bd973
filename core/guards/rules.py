"""The words that make a line worth a second look, and why: the table behind `core.guards`."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How much a finding weighs."""

    NOTE = "note"
    CAUTION = "caution"
    DANGER = "danger"


class Kind(StrEnum):
    """What a finding is about."""

    FILES = "files"
    IMPORT = "import"
    IO = "io"
    SEED = "seed"
    CLOCK = "clock"
    CAUSALITY = "causality"
    EVALUATION = "evaluation"
    ENVIRONMENT = "environment"
    PATCHING = "patching"
    INVISIBLE = "invisible"
    SIZE = "size"


class Rule(NamedTuple):
    """One reason to look."""

    kind: Kind
    level: Level
    why: str


def _table(*groups: tuple[str, Kind, Level, str]) -> dict[str, Rule]:
    return {word: Rule(kind, level, why) for words, kind, level, why in groups for word in words.split()}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODULES = _table(
    ("subprocess pty multiprocessing torch.multiprocessing", Kind.IO, Level.DANGER, "starts other processes"),
    ("socket ssl http urllib requests httpx aiohttp ftplib smtplib", Kind.IO, Level.DANGER, "uses the network"),
    ("huggingface_hub datasets transformers torch.hub wandb", Kind.IO, Level.DANGER, "uses the network"),
    ("pickle marshal shelve dill cloudpickle joblib", Kind.IO, Level.DANGER, "loads or stores live objects"),
    ("ctypes cffi mmap numba.cuda cupy", Kind.IO, Level.DANGER, "reaches below Python"),
    ("torch.package torch.utils.cpp_extension torch.ops.load_library", Kind.IO, Level.DANGER, "loads other code"),
    ("importlib runpy imp pkgutil code codeop", Kind.IO, Level.DANGER, "loads other code"),
    ("shutil", Kind.IO, Level.DANGER, "copies or deletes files"),
    ("os posix", Kind.IO, Level.DANGER, "acts on the system"),
    ("pathlib io glob tempfile fileinput", Kind.IO, Level.CAUTION, "reads or writes files"),
    ("torch.load torch.save torch.jit.load torch.jit.save", Kind.IO, Level.CAUTION, "reads or writes files"),
    ("torch.from_file torch.UntypedStorage.from_file", Kind.IO, Level.CAUTION, "reads or writes files"),
    ("numpy.load numpy.memmap numpy.fromfile numpy.save", Kind.IO, Level.CAUTION, "reads or writes files"),
    ("threading asyncio concurrent", Kind.CLOCK, Level.CAUTION, "works beside the counted loop"),
    ("torch.cuda.Stream torch.cuda.stream torch.cuda.set_stream", Kind.CLOCK, Level.CAUTION, "works beside the clock"),
    ("os.path os.cpu_count os.linesep os.sep", Kind.IO, Level.NOTE, "asks the system"),
    ("os.environ os.environb os.getenv os.putenv os.unsetenv", Kind.ENVIRONMENT, Level.CAUTION, "uses the environment"),
    ("sys", Kind.ENVIRONMENT, Level.NOTE, "uses the interpreter"),
    ("sys._getframe sys._current_frames sys.modules sys.settrace sys.setprofile sys.path sys.meta_path sys.path_hooks",
     Kind.PATCHING, Level.DANGER, "reaches into the interpreter"),
    ("inspect traceback faulthandler gc.get_objects gc.get_referrers gc.get_referents", Kind.PATCHING, Level.DANGER,
     "can find objects of the harness"),
    ("builtins unittest.mock", Kind.PATCHING, Level.DANGER, "replaces functions"),
    ("torch.library torch.overrides torch._C torch.utils._python_dispatch", Kind.PATCHING, Level.DANGER,
     "changes what torch's own operations do"),
    ("atexit signal weakref", Kind.PATCHING, Level.CAUTION, "runs code at another time"),
    ("gc", Kind.ENVIRONMENT, Level.NOTE, "steers the garbage collector"),
    ("time datetime timeit", Kind.CLOCK, Level.CAUTION, "reads the clock; the harness owns it"),
    ("torch.manual_seed torch.seed torch.random torch.Generator torch.set_rng_state torch.cuda.manual_seed "
     "torch.cuda.manual_seed_all torch.cuda.set_rng_state random.seed numpy.random.seed numpy.random.default_rng "
     "numpy.random.RandomState", Kind.SEED, Level.CAUTION, "sets a seed; seeds belong to the harness"),
    ("random numpy.random secrets", Kind.SEED, Level.NOTE, "draws random numbers of its own"),
    ("nanochat.evaluate nanochat.scoring nanochat.integrity nanochat.flops nanochat.record data core tui",
     Kind.EVALUATION, Level.DANGER, "reaches for the frozen evaluator, the meter or the data"),
    ("torch.is_grad_enabled torch.is_inference_mode_enabled", Kind.EVALUATION, Level.CAUTION,
     "may behave differently when it is evaluated"),
)  # fmt: skip
"""imported modules, and names inside them: the longest match counts"""

SAFE_MODULES = _words(
    "__future__ abc collections contextlib copy dataclasses einops enum functools itertools math numpy operator "
    "statistics torch types typing warnings"
)

BUILTINS = _table(
    ("eval exec compile __import__", Kind.IO, Level.DANGER, "runs text as code"),
    ("__builtins__ __loader__ __spec__", Kind.PATCHING, Level.DANGER, "reaches into the interpreter"),
    ("globals locals vars", Kind.PATCHING, Level.CAUTION, "changes names behind the reader's back"),
    ("input breakpoint", Kind.IO, Level.CAUTION, "waits for a person who is not there"),
)

_TIME = "mixes positions in time: no position may see a later one"
METHODS = _table(
    ("tril tril_ triu triu_ masked_fill masked_fill_ create_block_mask flex_attention is_causal attn_mask",
     Kind.CAUSALITY, Level.CAUTION, "decides who may see whom"),
    ("flip fliplr flipud roll cumsum cumsum_ cumprod cummax cummin logcumsumexp", Kind.CAUSALITY, Level.CAUTION, _TIME),
    ("fft rfft ifft irfft fft2 rfft2 fftn rfftn stft dct", Kind.CAUSALITY, Level.CAUTION, _TIME),
    ("Conv1d conv1d Conv2d conv2d avg_pool1d AvgPool1d max_pool1d MaxPool1d interpolate", Kind.CAUSALITY, Level.CAUTION,
     "sees later positions unless it is padded on the left only"),
    ("BatchNorm1d BatchNorm2d SyncBatchNorm InstanceNorm1d batch_norm instance_norm", Kind.CAUSALITY, Level.CAUTION,
     "normalises with statistics over positions or over the batch"),
    ("manual_seed manual_seed_ seed", Kind.SEED, Level.CAUTION, "uses the seed; seeds belong to the harness"),
    ("read_text read_bytes write_text write_bytes iterdir rglob unlink rmdir symlink_to hardlink_to", Kind.IO,
     Level.CAUTION, "reads or writes files"),
    ("__globals__ __code__ __closure__ __subclasses__ __bases__ __mro__ f_back f_locals f_globals gi_frame tb_frame "
     "__torch_dispatch__ __torch_function__", Kind.PATCHING, Level.DANGER, "reaches into the interpreter or torch"),
    ("__dict__ __class__", Kind.PATCHING, Level.NOTE, "reaches behind attributes"),
    ("training", Kind.EVALUATION, Level.NOTE, "may behave differently when it is evaluated"),
)  # fmt: skip
"""attributes, keywords and definitions of any object"""

REDUCTIONS = _words(
    "mean nanmean median quantile sum prod std var norm normalize max min amax amin argmax argmin softmax log_softmax "
    "logsumexp topk sort argsort kthvalue"
)
"""harmless over channels (-1), a leak over time (1 or -2 in B, T, C)"""
OVER_TIME = Rule(Kind.CAUSALITY, Level.CAUTION, "reduces or sorts over dimension 1 or -2, which is time in (B, T, C)")

HARNESS_PUBLIC = _words(
    "from_env profile device step progress batches log finish compile autocast grad_norm average_gradients"
)
"""what a training script may use of the harness without a word"""

MASK_WORDS = ("is_causal", "tril", "triu", "masked_fill", "attn_mask", "block_mask", "causal")
"""where these disappear, a mask may have gone"""

IDENTIFIERS = (
    (r"val_bpb|val_loss|val_data|val_tokens|audit|evaluat(?:e|or|ion)|eval_tokens",
     Rule(Kind.EVALUATION, Level.CAUTION, "speaks of the evaluation, which is not the script's")),
    (r"(?:^|_)seeds?(?:$|_|\d)", Rule(Kind.SEED, Level.CAUTION, "names a seed; seeds belong to the harness")),
    (r"budget|deadline|time_limit", Rule(Kind.CLOCK, Level.CAUTION, "names the budget; the harness owns it")),
    ("[\u0400-\u058f\u13a0-\u13ff\uab70-\uabbf]",
     Rule(Kind.INVISIBLE, Level.CAUTION, "has letters that look like others")),
)  # fmt: skip
"""patterns of names, in lower case"""

STRINGS = (
    (r"\bAR_[A-Z]{3,}", Rule(Kind.EVALUATION, Level.DANGER, "names what the runner passes to the harness")),
    (r"(?:^|[/\\])(?:val|audit)(?:[/\\]|\.\w|_\w*\.\w)|[/\\](?:val|audit)$",
     Rule(Kind.EVALUATION, Level.DANGER, "names held-out data")),
    (r"\bval_bpb\b|\baudit\b",
     Rule(Kind.EVALUATION, Level.CAUTION, "speaks of the evaluation, which is not the script's")),
    (r"^/(?:proc|sys|dev|etc|root|home|tmp|var|run|mnt|data)\b|/proc/|/dev/shm|\.ssh\b|^~/", Rule(
        Kind.ENVIRONMENT, Level.DANGER, "names a place outside the run")),
    (r"(?:^|/)\.\.(?:/|$)", Rule(Kind.IO, Level.CAUTION, "leaves its directory")),
    (r"\b(?:https?|ftp|file|s3|hf)://", Rule(Kind.IO, Level.CAUTION, "names an address")),
)  # fmt: skip
"""patterns of text in quotes; docstrings do not count"""

SHELL = (
    (r"\b(?:curl|wget|ssh|nc|sudo|pip|apt|chmod|rm -r|eval)\b",
     Rule(Kind.IO, Level.DANGER, "runs a command on the system")),
    (r"\b(?:subprocess|socket|ctypes|pickle|__import__|os\.system|exec)\b",
     Rule(Kind.IO, Level.DANGER, "acts on the system")),
)  # fmt: skip
"""patterns in lines of files that are not Python, or that Python cannot read"""
