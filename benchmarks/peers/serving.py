"""Answers requests given as lines of JSON, each by one line; standard library only.

It runs in a peer's own environment, where this project is not installed: a script beside this file
imports it as `serving`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any


def serve(handlers: dict[str, Callable[..., dict[str, Any]]]) -> None:
    """Answers `{"do": name, …}` by `handlers[name](…)` until the standard input ends.

    Every answer gets `cpu_seconds`, the CPU time of the process for it, which other load hardly
    affects.

    An exception ends the process; the caller reads its last line from the standard error.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the output of libraries must not mix with the answers
    for line in sys.stdin:
        request = json.loads(line)
        start = time.process_time()
        answer = handlers[request.pop("do")](**request)
        answer["cpu_seconds"] = time.process_time() - start
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
