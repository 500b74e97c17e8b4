"""Numbers, times and errors as a person reads them."""

from __future__ import annotations

import math


def why(error: str | None) -> str:
    """The last line of a recorded error, which names it; the rest is the way there."""
    lines = (error or "").strip().splitlines()
    return lines[-1] if lines else "no reason recorded"


def of_the_disk(error: OSError) -> str:
    """Which file could not be had and why, in one line."""
    if error.strerror is None:  # as Ray hands on what was raised in another process
        return (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return f"{error.filename or 'a file'}: {error.strerror}"


def duration(seconds: float) -> str:
    """Like 1 h 04 min, 3 min 20 s, 12 s, <1 s."""
    whole = round(seconds)
    if seconds > 0 and not whole:
        return "<1 s"
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole} s"


def significant(value: float) -> str:
    """Four significant digits; a dash for what is not finite."""
    return "–" if not math.isfinite(value) else f"{value:.4g}"


def as_share(value: float) -> str:
    """Three decimal places, as of R², which is 1 at most; a dash for what is not finite."""
    return f"{value:.3f}" if math.isfinite(value) else "–"


def counted(number: int, what: str) -> str:
    """Like 1 model and 12 models."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def are(number: int) -> str:
    """The verb of so many."""
    return "is" if number == 1 else "are"


def with_deviation(mean: float, deviation: float | None) -> str:
    """A mean to four significant digits, and its deviation to as many decimal places.

    A deviation that is not there, as of one fold, is left out.
    """
    if not mean or not math.isfinite(mean):
        told, spread = significant(mean), "{:.4g}"
    else:
        places = max(0, 3 - math.floor(math.log10(abs(mean))))
        told, spread = f"{mean:.{places}f}", f"{{:.{places}f}}"
    if deviation is None or not math.isfinite(deviation):
        return told
    return f"{told} ± {spread.format(deviation)}"
