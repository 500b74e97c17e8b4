"""The command line parser of all jobs; cheap to import, so that `--help` is fast."""

from __future__ import annotations

import argparse
import difflib
import math
import platform
import re
from collections.abc import Callable
from typing import Any, NoReturn

from orchestrator.interface.errors import UsageError


class Parser(argparse.ArgumentParser):
    """Reports what is wrong with a command line in one line; accepts no abbreviated flags."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)
        self.add_argument(
            "--version",
            action=_Version,
            nargs=0,
            dest=argparse.SUPPRESS,
            default=argparse.SUPPRESS,
            help="print what is installed, and exit",
        )

    def error(self, message: str) -> NoReturn:
        """Raises UsageError and suggests the flag or value that may have been meant."""
        text = " ".join(message.split())  # values given by the user may contain line breaks
        text = text.removeprefix("argument ").replace("unrecognized arguments", "unknown flag")
        unknown = re.search(r"unknown flag: (--[\w-]+)", text)
        choice = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", text)
        if unknown:
            # with the default of 0.6, `--run` would be suggested for `--lr`
            close = difflib.get_close_matches(
                unknown[1], self._option_string_actions, n=1, cutoff=0.7
            )
        elif choice:
            known = re.findall(r"[\w-]+", choice[2])
            close = difflib.get_close_matches(choice[1], known, n=1)
        else:
            close = []
        hint = f"did you mean {close[0]}?" if close else "--help lists the flags"
        raise UsageError(f"{text}; {hint}")


class _Version(argparse.Action):
    """Prints `version_lines`, which are read from files only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Ends the program."""
        print(version_lines())
        parser.exit()


def version_lines() -> str:
    """The version of elemgrid, and on a second line those of packages that affect results."""
    beside = " ".join(f"{name} {_installed(name)}" for name in ("torch", "ray"))
    return f"elemgrid {_installed('elemgrid')}\npython {platform.python_version()} {beside}"


def _installed(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow: imports the email package

    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


class Distinct(argparse.Action):
    """Stores several distinct values as a tuple; a repeated value is an error."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any
    ) -> None:
        """Raises ArgumentError, which names the flag."""
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise argparse.ArgumentError(self, f"given twice: {', '.join(map(str, twice))}")
        setattr(namespace, self.dest, tuple(values))


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """Makes a parser of whole numbers from `least` to `most`."""
    allowed = f"at least {least}" if most is None else f"from {least} to {most}"

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"{value} is wrong, it must be {allowed}")
        return value

    return read


def number(allowed: str, fits: Callable[[float], bool]) -> Callable[[str], float]:
    """Makes a parser of numbers for which `fits` is true; `allowed` describes them in words."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
        if not fits(value):
            raise argparse.ArgumentTypeError(f"{value:g} is wrong, it must be {allowed}")
        return value

    return read


positive = number("a positive number", lambda value: 0 < value < math.inf)
share = number("a share between 0 and 1", lambda value: 0 <= value <= 1)
