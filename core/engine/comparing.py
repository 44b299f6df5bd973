"""Which results may be compared: the manifest of now, the device classes that follow from it, and runs that broke it.

A device class is a device, its driver and the manifest. After an upgrade of the evaluator, of torch or of the data the
class is another one: old results stay on record and are compared with nothing, and the champion is measured again.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from core.engine.bench import Bench, log
from core.manifest import FROZEN, WORDS, frozen, read
from core.models import Run
from core.runs import runner
from core.runs.devices import Device

FILE = "manifest.json"


def in_class(device: Device, sha256: str) -> Device:
    """A device with the class it has under a manifest."""
    return replace(device, kind=f"{device.kind} · {sha256[:8]}") if sha256 else device


class Comparing:
    """Keeps `bench.devices` and `bench.manifest` true."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.devices = bench.devices
        self.frozen = frozen(bench.config, bench.lab.root)
        self._seen: str | None = None

    def refresh(self) -> None:
        """Before runs start: look whether anything they are measured with has changed."""
        store = self.bench.store
        data = str(store.setting("preparation", {}).get("ready", ""))
        seen = json.dumps([data, store.setting("profile", {}), self.frozen.parts()])
        if seen == self._seen:
            return
        found = read(self.frozen, self.bench.config, data=data, profile=store.setting("profile", {}))
        before = store.setting("manifest", {})
        self.bench.manifest = found
        self.bench.devices = [in_class(device, found.sha256) for device in self.devices]
        if before.get("sha256") == found.sha256:
            self._seen = seen
            return
        what = (
            f"{found.since(before.get('parts', {}))} changed" if before else "no earlier run says what it was made with"
        )
        words = (
            f"{what}: earlier results stay on record and are compared with nothing that comes now; the champion is "
            "measured again"
            if store.runs()
            else ""
        )
        with store.transaction():
            body = {"sha256": found.sha256, "parts": dict(found.parts), "words": words, "at": self.bench.now()}
            store.set("manifest", body)
            store.set("devices", [{"name": d.name, "class": d.kind} for d in self.bench.devices])
            store.event("manifest", sha256=found.sha256, words=words)
        self._seen = seen
        if words:
            log.warning("%s", words)

    def note(self, directory: Path) -> None:
        """Put the parts, and the frozen files one by one, beside a run that starts."""
        assert self.bench.manifest is not None
        data = str(self.bench.store.setting("preparation", {}).get("ready", ""))
        body = {"parts": dict(self.bench.manifest.parts), "files": self.frozen.files(), "prepared": data}
        runner.write_json(directory / FILE, body)

    def broken(self, run: Run) -> str:
        """What of the frozen code or the data is not as it was when a run began; empty when all is."""
        if not run.manifest:
            return ""
        noted = runner.read_json(self.bench.lab.run_directory(run.id) / FILE) or {}
        before, known = (value if isinstance(value := noted.get(name), dict) else {} for name in ("parts", "files"))
        if not before:
            return "its manifest is gone: nobody can say what it was measured with"
        now = read(self.frozen, self.bench.config, data=str(noted.get("prepared", "")), profile={}).parts
        changed = [name for name in (*FROZEN, "tokenizer", "data") if now.get(name) != before.get(name)]
        if not changed:
            return ""
        files = [Path(path).name for path, sha256 in self.frozen.files().items() if known.get(path) != sha256]
        what = ", ".join(files) or " and ".join(WORDS[name] for name in changed)
        return f"{what} changed while it ran: its result says nothing. Was autoresearch-tui upgraded under it?"
