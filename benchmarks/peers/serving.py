"""A process that does what lines of JSON ask and answers each with one; stdlib only.

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

    Every answer gets `cpu_seconds`, what the process used for it: unlike wall time, hardly touched
    by what else the machine does.

    An exception ends the process; whoever asked reads its last line from the standard error.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    for line in sys.stdin:
        request = json.loads(line)
        start = time.process_time()
        answer = handlers[request.pop("do")](**request)
        answer["cpu_seconds"] = time.process_time() - start
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
