"""Numbers the way people write them into code: few digits, the style of what stood there before. Pure."""

from __future__ import annotations

import math


def round_nicely(value: float) -> float:
    """Two significant digits; between 1 and 2 in steps of 0.05, so that 1.05 and 1.15 exist."""
    if value == 0:
        return 0.0
    unit = 10.0 ** math.floor(math.log10(abs(value)))
    mantissa = value / unit
    rounded = round(mantissa * 20) / 20 if abs(mantissa) < 1.975 else round(mantissa, 1)
    return float(f"{rounded * unit:.3g}")


def beta_text(beta: float) -> str:
    """A decay rate written so that its distance from 1 has two significant digits: 0.96, 0.9925."""
    distance = round_nicely(1 - beta)
    digits = max(1, 2 - math.floor(math.log10(distance)))
    return f"{1 - distance:.{digits}f}".rstrip("0")


def write_number(value: float, like: str, *, integer: bool) -> str:
    """A number as Python source, in the style of the literal `like`: its underscores, its exponent, its dot."""
    if integer:
        return f"{round(value):_}" if "_" in like else str(round(value))
    if "e" in like.lower() and not 0.001 <= abs(value) < 1000:
        mantissa, _, exponent = f"{value:.6e}".partition("e")
        dotted = mantissa.rstrip("0").rstrip(".")
        return f"{dotted}e{int(exponent)}"
    if abs(value) >= 1e16 or (value != 0 and abs(value) < 1e-5):
        return repr(value)
    text = f"{value:.12f}".rstrip("0")
    text = f"{text}0" if text.endswith(".") else text
    if "_" in like:
        whole, _, part = text.partition(".")
        return f"{int(whole):_}.{part}"
    return text
