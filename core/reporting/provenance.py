"""Where a report comes from: versions, data, sandbox, and the configuration with nothing secret in it."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from core import __version__
from core.config import Config
from core.errors import ConfigError
from core.lab import CONFIG_FILE, Lab
from core.store import Reader

_KEY = re.compile(r"\b(?:sk-|hf_|ghp_|github_pat_|xox[a-z]-|AKIA)[\w-]{8,}")
"""what keys look like: for the one that was written where none belongs"""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where all of this comes from."""

    config: str
    """the keys that were set, secrets left out"""
    written_by: str
    """version of the program that makes the report"""
    recorded_by: str
    """version of the engine that last worked in the lab"""
    profile: str
    corpus: str
    corpus_hash: str
    sandbox: str
    manifest: str
    """what runs are made and measured with now"""
    schema: int
    first: float | None
    last: float | None
    made: float


def provenance(reader: Reader, config: Config, config_text: str, now: float) -> Provenance:
    """What the record says of its origin."""
    setting, preparation, sandbox = (
        _dict(reader.setting(key)) for key in ("lab", "preparation", "sandbox")
    )  # fmt: skip
    first, last = reader.span()
    tier = str(sandbox.get("tier", ""))
    return Provenance(
        config=config_text,
        written_by=__version__,
        recorded_by=str(_dict(reader.setting("engine")).get("version", "")),
        profile=str(setting.get("profile", config.target.profile)),
        corpus=str(setting.get("corpus", config.target.corpus)),
        corpus_hash=str(preparation.get("hash", "")),
        sandbox=f"{tier} ({sandbox.get('detail', '')})" if tier else "",
        manifest=_manifest(_dict(reader.setting("manifest"))),
        schema=reader.version,
        first=first,
        last=last,
        made=now,
    )


def _manifest(setting: dict[str, Any]) -> str:
    """Its hash, and the parts cut short."""
    parts = _dict(setting.get("parts"))
    shown = ", ".join(f"{name} {str(part)[:10]}" for name, part in parts.items())
    return f"{str(setting.get('sha256', ''))[:16]}: {shown}" if parts else ""


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def read_config(lab: Lab) -> tuple[Config, str]:
    """The configuration, and its text as far as it can be shown."""
    try:
        config = lab.load_config()
        given = tomllib.loads(lab.config_file.read_text(encoding="utf-8"))
    except (ConfigError, OSError, ValueError):
        return Config(), f"# {CONFIG_FILE} cannot be read; the defaults are shown"
    return config, shown_config(given)


def shown_config(given: dict[str, Any]) -> str:
    """The keys that were set. Comments are left out, and values that may be secret: a report is passed on."""
    lines: list[str] = []
    for section, values in given.items():
        if not isinstance(values, dict):
            continue
        lines.append(f"[{section}]")
        for key, value in values.items():
            lines += [f"{key} = {_shown(section, key, value)}"]
    return _KEY.sub("(left out)", "\n".join(lines))


def _shown(section: str, key: str, value: Any) -> str:
    if (section, key) == ("runs", "environment") and isinstance(value, dict):
        return "{" + ", ".join(f"{name} = (left out)" for name in value) + "}"
    if key == "key_file" or any(word in key.lower() for word in ("secret", "password", "api_key", "auth")):
        return "(left out)"
    if key == "base_url" and isinstance(value, str):
        try:
            return repr(urlsplit(value).hostname or "")
        except ValueError:
            return "(left out)"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_shown(section, str(name), v)}" for name, v in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else repr(value)
