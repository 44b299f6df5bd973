"""What every room of the engine works with."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Any

from core.config import Config
from core.lab import Lab
from core.manifest import Manifest
from core.models import Purpose
from core.runs.devices import Device
from core.runs.local import LocalExecutor
from core.runs.sandbox import Sandbox
from core.store import Writer
from core.workspace import Workspace

log = logging.getLogger("autoresearch.engine")


@dataclass(frozen=True, slots=True)
class Work:
    """A run that should be made."""

    experiment_id: int | None
    purpose: Purpose
    commit: str
    seed: int
    attempt: int
    of: int | None = None
    """the run whose checkpoint is evaluated; None: it is trained"""


@dataclass(slots=True)
class Bench:
    """One lab, opened for work."""

    lab: Lab
    config: Config
    store: Writer
    workspace: Workspace
    executor: LocalExecutor
    devices: list[Device]
    sandbox: Sandbox
    manifest: Manifest | None = None
    """what runs are made and measured with now; None until the data is ready"""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """set when something may have changed, so that the loop does not wait for its next look"""

    def now(self) -> float:
        return time.time()

    def working_devices(self) -> list[Device]:
        """The devices that get runs: all but those that `excluding` has set aside."""
        aside = self.store.setting("aside", {})
        return [device for device in self.devices if device.name not in aside]

    def champion(self) -> str:
        """The commit everything is compared with."""
        champion = self.store.champion()
        if champion is None:
            raise RuntimeError("asked for the champion before the repository was made")
        return champion.commit_sha

    def champion_files(self) -> dict[str, str]:
        return self.workspace.files(self.champion(), self.config.target.editable)

    def say(self, key: str, **value: Any) -> None:
        """Write what is now under a settings key, if it differs from what is there."""
        if self.store.setting(key) != value:
            self.store.set(key, value)
