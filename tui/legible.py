"""Keeps coloured words legible in every theme, and without colour: `$text-error` and its kin are moved away from the
background until they stand out from it, on the cursor's row too; under NO_COLOR they are plain text, not a paler grey.
"""

from __future__ import annotations

from collections.abc import Mapping

from textual.color import Color, ColorParseError

WORDS = ("text-primary", "text-secondary", "text-warning", "text-error", "text-success", "text-accent")
CURSOR_ROW = 0.2
"""how much of the foreground lies over the background under the cursor"""
PLAIN = ("text", "fore")
"""what `-muted` belongs to where it is no background"""
QUIET = 3.0
"""of words that only accompany others"""
ENOUGH = 4.5
"""contrast of WCAG's level AA"""


def legible(variables: Mapping[str, str], *, no_color: bool) -> dict[str, str]:
    """The theme's variables, with words that can be read; those of the terminal's own 16 colours stay as they are."""
    found = dict(variables)
    if no_color:
        found |= dict.fromkeys((name for name in WORDS if name in found), found["foreground"])
    try:
        foreground, background = Color.parse(found["foreground"]), Color.parse(found["background"])
        others = [Color.parse(found[name]) for name in ("surface", "panel")]
    except (KeyError, ColorParseError):
        return found
    if any(color.ansi is not None for color in (foreground, background, *others)):
        # sixteen colours have no paler ones: `bold $text-error on $error-muted` would be red on red
        return found | {name: "ansi_default" for name in found if name.endswith("-muted") and name[:4] not in PLAIN}
    if no_color:
        return found
    behind = [background, *others, background.blend(foreground, CURSOR_ROW)]
    for name in WORDS:
        if name in found:
            found[name] = _away(Color.parse(found[name]), foreground, behind).hex
    for share in (0.6, 0.7, 0.8, 0.9, 1.0):  # quiet words: as pale as Textual has them, or less
        if all(_contrast(back.blend(foreground, share), back) >= QUIET for back in (background, *others)):
            found["foreground-muted"] = foreground.with_alpha(share).hex
            break
    else:
        found["foreground-muted"] = foreground.hex
    return found


def _away(color: Color, foreground: Color, behind: list[Color]) -> Color:
    """The colour, drawn towards the foreground, then black or white, until it stands out from all that lies behind."""
    dark = _contrast(foreground, Color(0, 0, 0)) < _contrast(foreground, Color(255, 255, 255))
    for goal in (foreground, Color(0, 0, 0) if dark else Color(255, 255, 255)):
        for step in range(11):
            moved = color.blend(goal, step / 10)
            if all(_contrast(moved, back) >= ENOUGH for back in behind):
                return moved
    return foreground


def _contrast(one: Color, other: Color) -> float:
    """The ratio of luminances as WCAG defines it, 1 to 21."""

    def luminance(color: Color) -> float:
        parts = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in color.normalized]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)
