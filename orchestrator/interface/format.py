"""Formats numbers, durations and errors for people to read."""

from __future__ import annotations

import math


def why(error: str | None) -> str:
    """The last line of a recorded traceback, which names the error."""
    lines = (error or "").strip().splitlines()
    return lines[-1] if lines else "no reason recorded"


def of_the_disk(error: OSError) -> str:
    """One line that names the file that could not be read or written, and the reason."""
    if error.strerror is None:  # as Ray re-raises errors of another process
        return (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return f"{error.filename or 'a file'}: {error.strerror}"


def duration(seconds: float) -> str:
    """Formats seconds as 1 h 04 min, 3 min 20 s, 12 s or <1 s."""
    whole = round(seconds)
    if seconds > 0 and not whole:
        return "<1 s"
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole} s"


def significant(value: float) -> str:
    """Four significant digits; a dash for values that are not finite."""
    return "–" if not math.isfinite(value) else f"{value:.4g}"


def interval(low: float | None, high: float | None) -> str:
    """Both ends of an interval; a dash if there is none, as of a single fold."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return "–"
    return f"{significant(low)} … {significant(high)}"


def as_share(value: float) -> str:
    """Three decimal places, for values of at most 1 such as R²; a dash if not finite."""
    return f"{value:.3f}" if math.isfinite(value) else "–"


def counted(number: int, what: str) -> str:
    """Formats a count with its noun: 1 model, 12 models."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def are(number: int) -> str:
    """The form of "to be" that agrees with a count: is or are."""
    return "is" if number == 1 else "are"


def with_deviation(mean: float, deviation: float | None) -> str:
    """A mean to four significant digits, and its deviation to as many decimal places.

    Without a deviation, as for a single fold, only the mean is shown.
    """
    if not mean or not math.isfinite(mean):
        told, spread = significant(mean), "{:.4g}"
    else:
        places = max(0, 3 - math.floor(math.log10(abs(mean))))
        told, spread = f"{mean:.{places}f}", f"{{:.{places}f}}"
    if deviation is None or not math.isfinite(deviation):
        return told
    return f"{told} ± {spread.format(deviation)}"
