"""autoresearch.toml, checked. Errors name the file, the key and what would be right."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.errors import ConfigError
from core.models import Autonomy

Seconds = Annotated[float, Field(ge=0, le=30 * 24 * 3600)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Target(Section):
    """The code under research."""

    profile: str = "cpu"
    """sizes that fit the device: cpu, gpu-8g, gpu-24g, h100"""
    sizes: dict[str, bool | int | float | str] = {}
    """single values of the profile, changed: `depth = 2`"""
    corpus: str = "stdlib"
    """stdlib, a directory of text files, a directory of parquet shards, or hf:REPOSITORY"""
    source: str = ""
    """the directory the editable files are first copied from; empty: the built-in nanochat"""
    metric: str = "val_bpb"
    audit_metric: str = "audit_bpb"
    """the same on the hidden split; the evaluator is told AR_SPLIT=audit. Naming it says that an evaluator of your own
    has such a split: what is to be kept is then scored on it, from the checkpoint out/model.pt
    """
    direction: Literal["min", "max"] = "min"
    editable: list[str] = Field(default=["train.py"], min_length=1)
    """the files a patch may touch"""
    prepare: list[str] = ["{python}", "-m", "nanochat.prepare", "--profile", "{profile}", "--corpus", "{corpus}"]
    """makes the data once; {python}, {profile}, {corpus}, {lab} are filled in; empty for none"""
    describe: list[str] = ["{python}", "-m", "nanochat.profiles", "{profile}", "--json"]
    """prints the profile as JSON; its key `env` is added to the environment of trainer and evaluator; empty for none"""
    train: list[str] = Field(default=["{python}", "train.py"], min_length=1)
    waits_at_gate: bool = False
    """the training script, before its clock starts, waits for the file AR_GATE where that is set; nanochat's does"""
    evaluate: list[str] = ["{python}", "-m", "nanochat.evaluate"]
    """measures the checkpoint in a fresh process; empty: the metric is read from the training output"""

    @property
    def has_hidden_split(self) -> bool:
        """Whether the evaluator can score a split that nobody sees: the built-in one can."""
        named = "nanochat.evaluate" in self.evaluate or "audit_metric" in self.model_fields_set
        return bool(self.evaluate and self.audit_metric and named)


class Review(Section):
    """How decisions are taken."""

    autonomy: Autonomy = Autonomy.MANUAL
    """of a new lab; afterwards the dial on the screen rules"""
    undo_seconds: Seconds = 5.0
    """an approved experiment does not start before this, so that `u` can take it back"""
    guarded_lines: int = Field(default=20, ge=0, le=10_000)
    """the longest patch that `guarded` autonomy lets pass"""
    allow_unsandboxed: bool = False
    """let `guarded` and `full` autonomy run code where no sandbox can be had"""


class Prices(Section):
    """What a model costs, in money for a million tokens; the provider's price list has the numbers."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cache_read: float = Field(ge=0)
    cache_write: float = Field(ge=0)


class Caps(Section):
    """The most a model may use, 0 for no limit. A cap that is reached pauses proposing and nothing else.

    Tokens are counted as the API's own rate limits count them: what is read from the cache is left out.
    """

    tokens_per_proposal: int = Field(default=400_000, ge=0)
    tokens_per_day: int = Field(default=0, ge=0)
    tokens_per_lab: int = Field(default=0, ge=0)
    money_per_proposal: float = Field(default=0.0, ge=0)
    money_per_day: float = Field(default=0.0, ge=0)
    money_per_lab: float = Field(default=0.0, ge=0)


class Researcher(Section):
    """Who proposes."""

    kind: Literal["auto", "claude", "offline"] = "auto"
    """auto: claude where a key is set, offline otherwise"""
    lookahead: int = Field(default=2, ge=1, le=16)
    """proposals kept ready"""
    model: str = "claude-sonnet-5-5"
    seed: int = 0
    """of the offline researcher's search"""
    effort: Literal["", "low", "medium", "high", "xhigh", "max"] = ""
    """how hard the model works on an answer; empty: its own default"""
    base_url: str = ""
    """another endpoint that speaks the Messages API; empty: ANTHROPIC_BASE_URL, or Anthropic itself"""
    key_file: str = ""
    """a file of mode 0600 with the key; the environment goes first"""
    answer_tokens: int = Field(default=32_000, ge=1_000, le=1_000_000)
    """the longest answer, thinking included"""
    prompt_tokens: int = Field(default=60_000, ge=8_000, le=10_000_000)
    """the longest prompt: older experiments are summarised to fit"""
    cache: Literal["5m", "1h", "off"] = "1h"
    """how long the endpoint keeps the part of the prompt that does not change"""
    plateau: int = Field(default=8, ge=2, le=1_000)
    """after so many experiments in a row without a keep, something different is asked for"""
    fallback: Literal["", "offline"] = ""
    """who proposes while the model cannot be reached"""
    caps: Caps = Caps()
    prices: dict[str, Prices] = {}
    """model -> prices; without them tokens are counted, money is not"""

    @model_validator(mode="after")
    def _money_needs_prices(self) -> Researcher:
        caps = self.caps
        if (caps.money_per_proposal or caps.money_per_day or caps.money_per_lab) and self.model not in self.prices:
            raise ValueError(f'a cap on money needs prices: [researcher.prices."{self.model}"]')
        return self


class Judging(Section):
    """When a change is kept; DESIGN §8."""

    null_runs: int = Field(default=3, ge=1, le=64)
    """runs of the first champion, for the noise"""
    rerun_every: int = Field(default=12, ge=0, le=10_000)
    """verdicts after which the champion is measured again on a fresh seed, against drift; 0 for never"""
    z: float = Field(default=1.64, gt=0, le=10)
    max_confirmations: int = Field(default=4, ge=2, le=64)


class Runs(Section):
    """Limits of one training run."""

    devices: list[str] = []
    """cpu, cuda:0, …; empty: every GPU, or cpu"""
    wall_clock_factor: float = Field(default=4.0, gt=1, le=100)
    """a run may take this many times the champion's time"""
    wall_clock_seconds: Seconds = 1800.0
    """and never longer than this"""
    evaluate_seconds: Seconds = 600.0
    log_megabytes: float = Field(default=50.0, gt=0, le=10_000)
    min_free_gigabytes: float = Field(default=1.0, ge=0, le=100_000)
    """below this much free disk no run starts"""
    overlap: bool = True
    """while one run is evaluated the next one starts up, where memory allows; its clock starts afterwards"""
    environment: dict[str, str] = {}
    """added to the trainer's environment; never put a secret here"""


class SandboxSection(Section):
    """What training code is kept in."""

    use: Literal["auto", "bubblewrap", "landlock", "none"] = "auto"
    """auto: the strongest that works here"""
    readable: list[str] = []
    """directories beside Python and the prepared data that training code may read: a target's own data"""


class Notify(Section):
    """How you are called while you look elsewhere. Off until you ask: nothing rings or pops up by surprise over SSH."""

    bell: bool = False
    """the terminal's bell"""
    desktop: Literal["", "osc9", "osc777"] = ""
    """a desktop notification by your own terminal, over SSH too: osc9 (iTerm2, WezTerm, kitty), osc777 (urxvt, foot)"""
    command: list[str] = []
    """a program and its arguments, started without a shell; {title} and {body} are filled in"""
    quiet: str = Field(default="", pattern=r"^(([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d)?$")
    """hours of the day that nothing is sent in, said together afterwards: 22:00-07:00"""


class Screen(Section):
    """How the screen looks and calls. The engine reads nothing of it."""

    theme: str = ""
    """textual-dark, textual-light, nord, …; ansi-dark and ansi-light take your terminal's own 16 colours"""
    symbols: Literal["braille", "block", "ascii"] = "braille"
    """what curves and gauges are drawn with; ascii: the whole screen, as far as its own signs go"""
    slow: bool | Literal["auto"] = "auto"
    """half as many repaints; auto: where the screen runs over SSH"""
    tour: bool = True
    """five steps at the first opening ever"""
    keymap: dict[str, str] = {}
    """the name of an action -> its keys, separated by commas; `python -m tui.actions --ids` lists the names"""
    notify: Notify = Notify()


class Config(Section):
    """A lab's whole configuration."""

    target: Target = Target()
    review: Review = Review()
    researcher: Researcher = Researcher()
    judging: Judging = Judging()
    runs: Runs = Runs()
    sandbox: SandboxSection = SandboxSection()
    screen: Screen = Screen()


def load(path: Path) -> Config:
    """Read and check a lab's autoresearch.toml.

    Raises:
        ConfigError: it is missing, is not TOML, or has an unknown key, a wrong type or an impossible value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is missing", hint=f"autoresearch-tui init {path.parent} writes one") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    try:
        return Config.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        raise ConfigError(
            f"{path}: {_explain(error)}", hint="fix the key and start again; nothing was changed"
        ) from error


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            lines.append(f"unknown key {key!r}{_did_you_mean(problem['loc'])}")
        else:
            lines.append(f"{key} = {problem['input']!r}: {problem['msg'].lower()}")
    return "; ".join(lines)


def _did_you_mean(location: tuple[int | str, ...]) -> str:
    from difflib import get_close_matches

    model: type[BaseModel] = Config
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return ""
        model = field.annotation
    close = get_close_matches(str(location[-1]), list(model.model_fields), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(model.model_fields)}"


TEMPLATE = """\
# A lab of autoresearch-tui. Every key is optional; the values shown are the defaults.
# Changes take effect when the engine starts again: autoresearch-tui stop LAB; autoresearch-tui LAB

[target]
profile = {profile}          # cpu, gpu-8g, gpu-24g, h100
corpus = {corpus}         # stdlib, a directory of text files, a directory of parquet shards

[review]
# autonomy = "manual"      # of a new lab: manual, guarded or full; afterwards the key A rules
# undo_seconds = 5

[researcher]
# kind = "auto"            # claude where ANTHROPIC_API_KEY (or a key file) is there, offline otherwise
# model = "claude-sonnet-5-5"
# fallback = ""            # "offline": who proposes while the model cannot be reached
# plateau = 8              # misses in a row before something different is asked for
# lookahead = 2            # proposals kept ready

[researcher.caps]          # 0: no limit; a cap that is reached pauses proposing, nothing else
# tokens_per_day = 0
# money_per_day = 0        # needs [researcher.prices."MODEL"]: input, output, cache_read, cache_write, per million

[judging]
# null_runs = 3            # runs of the unchanged code, to measure the noise
# z = 1.64                 # 1.0 explores, 2.33 is strict
# max_confirmations = 4

[runs]
# wall_clock_factor = 4    # a run may take this many times the champion's time
# min_free_gigabytes = 1
# overlap = true           # the next run starts up while the last one is evaluated, where memory allows

[screen]                   # this one is read when the screen opens
# theme = ""               # textual-dark, textual-light, nord, …; ansi-dark, ansi-light: your terminal's 16 colours
# symbols = "braille"      # block, ascii
# slow = "auto"            # half as many repaints; auto: over SSH

[screen.keymap]            # the name of an action = "its,keys": approve = "f5"

[screen.notify]            # when a review starts waiting, a run is kept, crashed or suspect, the lab pauses itself
# bell = false
# desktop = ""             # osc9, osc777: by your own terminal
# command = []             # ["notify-send", "{{title}}", "{{body}}"]
# quiet = ""               # 22:00-07:00
"""


def render(profile: str, corpus: str) -> str:
    """The text of a new lab's autoresearch.toml."""
    import json

    return TEMPLATE.format(profile=json.dumps(profile), corpus=json.dumps(corpus))
