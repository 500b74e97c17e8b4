"""The process that reads structures: texts come in by a pipe, atoms or a reason go out.

python -m trainables.crystals.reading.child SECONDS BYTES

It ends with its parent, when the pipe closes. Standard output and standard error are taken away
from libraries, which would write into the answers or over a progress bar.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import IO, Any

from trainables.crystals.crystal import BadCrystal, Crystal
from trainables.crystals.reading.cif import read_cif
from trainables.crystals.reading.messages import HEADER, OUT_OF_MEMORY, length, packed
from trainables.crystals.reading.poscar import read_poscar

Atoms = tuple[list[int], list[list[float]], list[list[float]]]  # [N], fractional [N, 3], cell in Å

_READERS: dict[str, Callable[[str], Crystal]] = {"cif": read_cif, "poscar": read_poscar}


def read(form: str, text: str) -> Atoms:
    """Atomic numbers [N], fractional coordinates [N, 3] and cell [3, 3] in Å of a text.

    Args:
        form: `cif` or `poscar`.

    Raises:
        BadCrystal: the reason in one line.
            MemoryError: the text needs more memory than the process may have.
    """
    crystal = _READERS[form](text.removeprefix("\ufeff"))
    return crystal.numbers.tolist(), crystal.frac.tolist(), crystal.lattice.tolist()


GRACE = 2  # seconds after which a child that its parent did not end ends itself


def main() -> None:
    """Answers until the pipe is closed."""
    seconds, memory = float(sys.argv[1]), int(sys.argv[2])
    questions, answers = _own_pipes()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process, even in C code
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        _say(answers, "ready")
        while header := questions.read(HEADER):
            form, text = json.loads(questions.read(length(header)))
            signal.alarm(math.ceil(seconds) + GRACE)
            answer = _answer(form, text)
            signal.alarm(0)
            _say(answers, answer)
    except MemoryError:
        # The state of this process is unknown: the next text gets a new one.
        os._exit(OUT_OF_MEMORY)
    except BrokenPipeError:
        pass  # the parent has ended


def _own_pipes() -> tuple[IO[bytes], IO[bytes]]:
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    return questions, answers


def _answer(form: str, text: str) -> Any:
    try:
        return {"atoms": read(form, text)}
    except BadCrystal as bad:
        return {"bad": str(bad)}


def _say(answers: IO[bytes], content: Any) -> None:
    answers.write(packed(content))
    answers.flush()


if __name__ == "__main__":
    main()
