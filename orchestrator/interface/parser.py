"""The command line parser of all jobs; light, so that no job waits for another one's imports."""

from __future__ import annotations

import argparse
import difflib
import re
from typing import Any, NoReturn

from orchestrator.interface.errors import UsageError


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with a command line; takes no abbreviated flags."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raises UsageError with a flag or a value that may have been meant."""
        text = " ".join(message.split())  # what was given may hold line breaks
        text = text.removeprefix("argument ").replace("unrecognized arguments", "unknown flag")
        unknown = re.search(r"unknown flag: (--[\w-]+)", text)
        choice = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", text)
        if unknown:
            # with the usual 0.6, `--lr` would be taken for `--run`
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
