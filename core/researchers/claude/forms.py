"""The tools' inputs, typed: what the model fills in, checked before anything looks at it.

The JSON schema sent to the model is made from these, so that what it is told and what is accepted cannot part.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.models import State, Verdict
from core.researchers.claude.query import ROWS, SCHEMA
from core.researchers.claude.question import CATEGORIES

Short = Annotated[str, Field(min_length=3, max_length=160)]
Text = Annotated[str, Field(min_length=3, max_length=8_000)]


class Form(BaseModel):
    """A tool's input."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ReadFile(Form):
    """Read a file of the target, or a part of it: editable files as they are at the champion, and frozen ones."""

    path: str = Field(description="a folder lists what can be read in it")
    first_line: int = Field(default=1, ge=1)
    last_line: int | None = Field(default=None, ge=1, description="None: to the end")


class Experiments(Form):
    """List experiments, one line each. Every filter is optional."""

    verdict: Verdict | None = None
    state: State | None = None
    category: str = ""
    words: str = Field(default="", description="in title, hypothesis or rationale, upper and lower case alike")
    sort: Literal["newest", "oldest", "best", "worst"] = "newest"
    limit: int = Field(default=20, ge=1, le=100)


class ReadExperiment(Form):
    """One experiment whole: texts, patch, reviews with their reasons, what a human changed in it, runs, verdict."""

    id: int


class Curve(Form):
    """A digest of an experiment's curve beside the champion's: values at shares of the budget, slope, spikes."""

    experiment: int
    series: str = Field(default="loss", description="loss, lr, grad_norm, … whatever the script logs")


class Query(Form):
    sql: str = Field(max_length=4_000)


class Remember(Form):
    """Write a line into your notebook. You see it with every later question; nothing else is carried over."""

    note: str = Field(min_length=3, max_length=400)


class EditForm(Form):
    """`search` is copied exactly from the file, spaces included, and occurs in it exactly once."""

    path: str
    search: str = Field(min_length=1, max_length=100_000)
    replace: str = Field(max_length=200_000)


class Propose(Form):
    """Propose the experiment. This answers the question; call it once. If an edit does not fit you are told why."""

    title: Short = Field(description="what changes, in a few words")
    hypothesis: Text = Field(description="one or two sentences that the experiment could prove wrong")
    rationale: Text = Field(description="why, for the reviewer; what earlier results speak for or against it")
    category: str = Field(max_length=40, description=f"one of: {', '.join(CATEGORIES)}")
    expected: str = Field(max_length=1_000, description="the change of the metric you expect, and how sure you are")
    scaling: str = Field(max_length=1_000, description="how it should behave at a larger depth, and what to rescale")
    reply: str = Field(default="", max_length=4_000, description="your answer to the human, where one is asked for")
    unlike: str = Field(
        default="", max_length=2_000, description="where it resembles a vetoed idea: what is different, for the human"
    )
    edits: list[EditForm] = Field(min_length=1, max_length=50)


QUERY = f"""One read-only SELECT on the lab's SQLite record (at most {ROWS} rows). Tables:
{SCHEMA}"""
FORMS: dict[str, type[Form]] = {
    "read_file": ReadFile,
    "experiments": Experiments,
    "experiment": ReadExperiment,
    "curve": Curve,
    "query": Query,
    "remember": Remember,
    "propose": Propose,
}


def tools(*, eager: bool) -> list[dict[str, Any]]:
    """The tools as the API takes them; always the same text, so that it is cached.

    `eager`: the text of a proposal arrives while it is written. Only Anthropic's own endpoint is sure to know it.
    """
    made = []
    for name, form in FORMS.items():
        described = QUERY if form is Query else str(form.__doc__)
        tool: dict[str, Any] = {"name": name, "description": described, "input_schema": _schema(form)}
        if eager and form is Propose:
            tool["eager_input_streaming"] = True
        made.append(tool)
    return made


def _schema(form: type[Form]) -> dict[str, Any]:
    schema = form.model_json_schema()
    schema.pop("description", None)
    return {key: _plain(value) for key, value in schema.items() if key != "title"}


def _plain(value: Any) -> Any:
    """Without the titles pydantic makes up: they say nothing and cost tokens."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if not (k == "title" and isinstance(v, str))}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def mistakes(error: ValidationError) -> str:
    """What is wrong with an input, for the model."""
    lines = []
    for problem in error.errors()[:10]:
        where = ".".join(str(part) for part in problem["loc"]) or "input"
        lines.append(f"{where}: {problem['msg']}")
    return "The input does not fit:\n" + "\n".join(lines)
