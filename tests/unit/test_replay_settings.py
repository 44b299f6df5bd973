"""What the settings of a replayed lab say in the middle of its session."""

from __future__ import annotations

from typing import Any

from core.models import Event
from core.replay.states import first_settings, settings_after


def after(kind: str, settings: dict[str, Any], **body: Any) -> dict[str, Any]:
    return settings | settings_after(Event(1, 1.0, kind, None, None, body), settings)


def test_a_device_is_set_aside_from_when_it_was_until_somebody_resumed() -> None:
    settings = first_settings({"aside": '{"cuda:2": "it broke"}'}, [])
    assert settings["aside"] == {}
    settings = after("device_set_aside", settings, device="cuda:2", words="it broke")
    assert settings["aside"] == {"cuda:2": "it broke"}
    assert after("resumed", settings, actor="engine")["aside"]  # there is room on the disk again
    assert after("resumed", settings, actor="ada")["aside"] == {}
