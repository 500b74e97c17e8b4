"""Watches whether the cluster that a job works on is still there."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.interface import interrupts
from orchestrator.interface.job import USAGE
from orchestrator.nodes import ray_internals

EVERY = 2.0  # seconds between two checks
# Seconds without an answer. A restarting head is silent too; Ray's own patience is a minute.
PATIENCE = 40.0


@contextmanager
def held(address: str) -> Iterator[None]:
    """Ends the process with status 2 and one line if the head disappears within this context.

    Otherwise Ray's core worker would end it, with the status of failed models and a long text.
    Nothing has to be cleaned up: recorded files are complete, and the lock of a run directory ends
    with the process.

    Args:
        address: HOST:PORT of the head.
    """
    over = threading.Event()
    threading.Thread(target=_watch, args=[address, over], daemon=True).start()
    try:
        ends = interrupts.ends_if(lambda: _gone(address))
        with ray_internals.silent_once(interrupts.came), ends:
            yield
    finally:
        over.set()


def _watch(address: str, over: threading.Event) -> None:
    answered = looked = time.monotonic()
    while not over.wait(interrupts.LOOK):
        if interrupts.came():  # then often: Ray ends the driver soon after its node
            if _gone(address) and not over.is_set():  # they received the signal too
                interrupts.end()
            continue
        if time.monotonic() - looked < EVERY:
            continue
        looked = time.monotonic()
        if _answers(address):
            answered = time.monotonic()
        elif time.monotonic() - answered > PATIENCE and not over.is_set():
            print(
                f"error: the cluster at {address} does not answer any more; what is recorded stays:"
                " start one, and run the same command again",
                file=sys.stderr,
                flush=True,
            )
            os._exit(USAGE)


def _gone(address: str) -> bool:
    return not (_answers(address) and ray_internals.node_answers())


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=EVERY).close()
    except OSError:
        return False
    return True
