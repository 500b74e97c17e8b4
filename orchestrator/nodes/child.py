"""A process that works for another one on this machine, which `processes.Child` starts.

It holds one object, whose methods the other process calls one after the other. It ends with that
process, however that ends.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any, ClassVar

from orchestrator.interface import interrupts
from orchestrator.interface.errors import UsageError


class WorkError(Exception):
    """An error of the work in another process; the text is its traceback."""


class _Copying(ForkingPickler):
    """Writes objects as connections do, but copies tensors.

    Torch has them share the memory of the process that sent them, by way of a server in it.
    """

    _extra_reducers: ClassVar[dict[type, Any]] = {}


def send(connection: Connection, what: object) -> None:
    """Sends an object, which the other side receives by `connection.recv`."""
    connection.send_bytes(_Copying.dumps(what))


def main() -> None:
    """Works until the other process is gone. Arguments: handles of the pipes `life`, `calls`."""
    life, calls = map(int, sys.argv[1:3])
    for number in interrupts.SIGNALS:  # the other process decides when the work ends
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=[life], daemon=True).start()
    with Connection(calls) as connection:
        held = connection.recv()()
        while True:
            method, given = connection.recv()
            try:
                answer = True, getattr(held, method)(*given)
            except (UsageError, OSError) as error:
                answer = False, error
            except Exception as error:  # as a class that the other process may not be able to load
                answer = False, WorkError("".join(traceback.format_exception(error))[-4000:])
            del given  # not held while the next call comes in
            send(connection, answer)


def _end_with(life: int) -> None:
    """Ends this process at once when the other end of a pipe is closed: by the end of its owner."""
    os.read(life, 1)
    os._exit(1)
