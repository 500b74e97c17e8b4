"""Ctrl-C where a job takes its time to begin and to end: once, and twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.interface.job import conduct

ROOT = Path(__file__).resolve().parents[2]
# As Ray does when it is shut down, the job waits before it ends; and Python waits for its threads.
JOB = """
import hashlib, os, signal, sys, threading, time
from orchestrator.interface import interrupts
from orchestrator.interface.job import conduct
interrupts.PATIENCE = 3.0
def lose(gone):
    while not interrupts.came():
        time.sleep(0.01)
    time.sleep(0.1)
    gone.set()
    time.sleep(0.7)
    os._exit(1)
def work():
    try:
        with interrupts.at_once():
            if sys.argv[1] == "begins":
                print("at work", flush=True)
                time.sleep(60)
        print("at work", flush=True)
        if sys.argv[1] == "together":
            signal.pthread_sigmask(signal.SIG_BLOCK, interrupts.SIGNALS)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.pthread_kill(threading.get_ident(), number)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, interrupts.SIGNALS)
        if sys.argv[1] == "cluster":  # it has the signal too, and its driver does not survive it
            gone = threading.Event()
            threading.Thread(target=lose, args=[gone], daemon=True).start()
            with interrupts.ends_if(gone.is_set):
                print("on its cluster", flush=True)
                time.sleep(60)
        if sys.argv[1] == "deaf":
            hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
        time.sleep(60)
    finally:
        print("ending", flush=True)
        if sys.argv[1] == "slowly":
            time.sleep(60)
        elif sys.argv[1] == "compiled":
            sum(range(10**11))
        elif sys.argv[1] == "thread":
            threading.Thread(target=time.sleep, args=[60]).start()
code = conduct(work, stopped="again")
print("over", flush=True)
sys.exit(code)
"""


class Job:
    """The job above in a process of its own."""

    def __init__(self, how: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", JOB, how], cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.out = self.process.stdout

    def press(self, number: int = signal.SIGINT) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        try:
            self.said, err = self.process.communicate(timeout=30)
        finally:
            self.process.kill()  # where it is still there, the test has failed
        return self.process.returncode, err


def test_once_is_one_line() -> None:
    job = Job("at once")
    assert job.out.readline() == "at work\n"
    job.press()
    assert job.end() == (130, "\nstopped; again\n")


def test_a_cluster_that_ends_first_changes_no_status() -> None:
    job = Job("cluster")
    while job.out.readline() != "on its cluster\n":
        pass
    job.press(signal.SIGTERM)
    assert job.end() == (130, "\nstopped; again\n")


def test_two_that_python_answers_one_after_the_other_are_one() -> None:
    """As both arrive before Python handles the first."""
    assert Job("together").end() == (130, "\nstopped; again\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_every_signal_is_as_ctrl_c(number: int) -> None:
    job = Job("at once")
    assert job.out.readline() == "at work\n"
    job.press(number)
    assert job.end() == (130, "\nstopped; again\n")


@pytest.mark.parametrize("pause", [0.0, 0.2, 0.6])
def test_what_comes_twice_at_once_is_one(pause: float) -> None:
    """As with `timeout` in a terminal: to the process, to its group, and from the user."""
    job = Job("at once")
    assert job.out.readline() == "at work\n"
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        job.press(number)
        time.sleep(pause / 2)
    code, err = job.end()
    assert (code, err) == (130, "\nstopped; again\n")
    assert job.said.endswith("over\n"), "it was not let end well"


@pytest.mark.parametrize("how", ["slowly", "thread"])
def test_who_sends_sigterm_waits_seconds_and_not_minutes(how: str) -> None:
    """The job takes a minute to end; a batch system would kill it before."""
    job = Job(how)
    assert job.out.readline() == "at work\n"
    pressed = time.monotonic()
    job.press(signal.SIGTERM)
    if how == "thread":  # it has said all, and Python waits for a thread: not our patience
        while job.out.readline() != "over\n":
            pass
        job.press(signal.SIGTERM)
    code, err = job.end()
    assert (code, err) == (130, "\nstopped; again\n")
    assert time.monotonic() - pressed < 20


def test_sigterm_is_heard_where_python_is_not_asked() -> None:
    """The main thread is in compiled code, as one that waits for a part of Ray that is gone."""
    job = Job("deaf")
    assert job.out.readline() == "at work\n"
    time.sleep(0.5)
    job.press(signal.SIGTERM)
    assert job.end() == (130, "\nstopped; again\n")


def test_nohup_ignores_sighup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which the job inherits
    try:
        job = Job("at once")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert job.out.readline() == "at work\n"
    job.press(signal.SIGHUP)
    time.sleep(0.3)
    assert job.process.poll() is None
    job.press()
    assert job.end() == (130, "\nstopped; again\n")


def test_while_a_job_is_imported() -> None:
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "orchestrator.hybrid_grid", "--help"],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        while not process.stderr.readline().endswith("numpy.version\n"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130 and not out
    assert "\nstopped at once\n" in err and "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_where_an_exception_would_do_harm_once_is_at_once(number: int) -> None:
    job = Job("begins")
    assert job.out.readline() == "at work\n"
    job.press(number)
    assert job.end() == (130, "\nstopped at once\n")
    assert not job.said


@pytest.mark.parametrize(
    ("how", "last"), [("slowly", "ending\n"), ("compiled", "ending\n"), ("thread", "over\n")]
)
def test_twice_is_at_once(how: str, last: str) -> None:
    """While the job ends, in Python and in compiled code, and while Python does."""
    job = Job(how)
    assert job.out.readline() == "at work\n"
    job.press()
    while job.out.readline() != last:
        pass
    time.sleep(0.3)  # into the compiled code
    pressed = time.monotonic()
    job.press()
    code, err = job.end()
    assert code == -signal.SIGINT, "which shells tell as 130"
    assert err == ("\nstopped; again\n" if last == "over\n" else "")
    assert time.monotonic() - pressed < 20


def test_whoever_has_a_handler_keeps_it() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []
    assert conduct(lambda: seen.append(signal.getsignal(signal.SIGINT)) or 0) == 0  # type: ignore[func-returns-value]
    assert seen != [before] and signal.getsignal(signal.SIGINT) is before
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        conduct(lambda: seen.append(signal.getsignal(signal.SIGINT)) or 0)  # type: ignore[func-returns-value]
        assert seen[1] is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


HOPELESS = """
import sys, time
from orchestrator.interface import interrupts
with interrupts.two_chances("stopped; the same command goes on"):
    interrupts.by_sigterm_too()
    with interrupts.ends_if(lambda: sys.argv[1] == "gone"):
        try:
            print("ready", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            print("cleaned up", flush=True)
            raise SystemExit(interrupts.STATUS) from None
"""


@pytest.mark.parametrize("cluster", ["gone", "there"])
def test_a_job_without_its_cluster_ends_before_it_cleans_up(cluster: str) -> None:
    """Its next request would end it with another status."""
    command = [sys.executable, "-c", HOPELESS, cluster]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as job:
        assert job.stdout is not None and job.stdout.readline() == "ready\n"
        job.send_signal(signal.SIGTERM)
        out, err = job.communicate(timeout=30)
    assert job.returncode == 130
    assert out == ("" if cluster == "gone" else "cleaned up\n")
    assert (err == "\nstopped; the same command goes on\n") == (cluster == "gone")
