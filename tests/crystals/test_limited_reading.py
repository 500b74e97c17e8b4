"""Texts that hang a reader or eat memory cost themselves alone, and no process stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.crystals.cifs_for_tests import EATING, HANGING
from trainables.crystals import parsing
from trainables.crystals.crystal import BadCrystal, Entry
from trainables.crystals.reading.limited import Reader
from trainables.models.backbones import BACKBONES
from trainables.representations.featurise import featurise

ROOT = Path(__file__).resolve().parents[2]
GOOD = "x\n1.0\n4 0 0\n0 4 0\n0 0 4\nK\n1\nDirect\n0 0 0\n"
# A process that reads a text and tells its child's id before.
READING = """
import sys
from trainables.crystals.reading.limited import Reader
reader = Reader(seconds=float(sys.argv[1]))
reader.read("poscar", sys.argv[2])
print(reader._child.pid, flush=True)
reader.read("cif", sys.stdin.read())
"""


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader(seconds=1)
    yield made
    made.close()


def child_of(reader: Reader) -> int:
    assert reader._child is not None
    return reader._child.pid


def gone(pid: int, seconds: float) -> bool:
    """Whether a process ends within so many seconds; one that only waits to be reaped has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def refusal(reader: Reader, form: str, text: str) -> str:
    with pytest.raises(BadCrystal) as caught:
        reader.read(form, text)
    return str(caught.value)


def test_a_text_that_hangs_is_given_up_and_the_next_is_read(reader: Reader) -> None:
    before = reader.read("poscar", GOOD)
    pid = child_of(reader)
    start = time.monotonic()
    assert refusal(reader, "cif", HANGING) == "takes longer than 1 s to read"
    assert time.monotonic() - start < 5
    assert gone(pid, 1)
    assert reader.read("poscar", GOOD) == before
    assert child_of(reader) != pid


def test_a_text_that_eats_memory_is_given_up_and_the_next_is_read() -> None:
    with closing(Reader(seconds=60)) as reader:
        assert refusal(reader, "cif", EATING) == "takes more than 2 GiB to read"
        assert reader.read("poscar", GOOD)[0] == [19]


def test_one_child_reads_all_that_is_merely_bad(reader: Reader) -> None:
    reader.read("poscar", GOOD)
    pid = child_of(reader)
    assert "broken POSCAR" in refusal(reader, "poscar", "x\n1.0\n")
    assert "not a CIF" in refusal(reader, "cif", "garbage")
    assert child_of(reader) == pid


def test_a_child_that_died_while_idle_is_no_crystals_fault(reader: Reader) -> None:
    reader.read("poscar", GOOD)
    os.kill(child_of(reader), signal.SIGKILL)
    assert gone(child_of(reader), 5)
    assert reader.read("poscar", GOOD)[0] == [19]


def test_a_child_that_dies_of_a_text_is_named(reader: Reader) -> None:
    reader.read("poscar", GOOD)
    # The child is stopped before the text comes and killed with it in the pipe.
    pid = child_of(reader)
    os.kill(pid, signal.SIGSTOP)
    killer = subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -SEGV {pid}; kill -CONT {pid}"])
    assert "the reader died of it (SIGSEGV)" in refusal(reader, "poscar", GOOD)
    killer.wait()


def test_a_reader_that_does_not_start_is_no_crystals_fault(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="does not start"):
        reader.read("poscar", GOOD)


def test_the_others_of_a_block_go_on() -> None:
    texts = [GOOD, EATING, GOOD.replace("K", "Na")]
    forms = ["poscar", "cif", "poscar"]
    pairs = zip(forms, texts, strict=True)
    entries = [Entry(i, str(i), form, text, "1", "f") for i, (form, text) in enumerate(pairs)]
    result = featurise(entries, [BACKBONES["cgcnn"].representation], 1000)
    assert result.reasons == ["", "takes more than 2 GiB to read", ""]


@pytest.mark.parametrize("form", ["json", "cif", "poscar"])
def test_a_text_beyond_all_crystals_is_not_looked_at(form: str) -> None:
    entry = Entry(0, "0", form, "x" * (parsing.LARGEST_TEXT + 1), "1", "f")
    with pytest.raises(BadCrystal, match="text too large: more than 16 million characters"):
        parsing.parse(entry)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_child_outlives_its_parent(how: signal.Signals) -> None:
    """Even in the middle of a text; only the parent receives a Ctrl-C."""
    command = [sys.executable, "-c", READING, "3", GOOD]
    parent = subprocess.Popen(
        command, cwd=ROOT, text=True, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert parent.stdin is not None and parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.stdin.write(HANGING)
    parent.stdin.close()
    parent.stdin = None
    time.sleep(0.5)
    assert not gone(pid, 0.1), "the child ended by itself: the test has lost its point"
    assert os.getsid(pid) != parent.pid, "a Ctrl-C reaches the child too"
    os.killpg(parent.pid, how)  # as a terminal sends it
    _, said = parent.communicate(timeout=20)
    assert gone(pid, 10)
    tracebacks = said.count("Traceback")
    assert tracebacks == (1 if how == signal.SIGINT else 0), said


def test_the_child_ends_with_a_parent_that_is_done() -> None:
    done = subprocess.run(
        [sys.executable, "-c", READING, "3", GOOD],
        cwd=ROOT, input=GOOD, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert gone(int(done.stdout), 5)
    assert done.stderr.count("Traceback") == 1 and "BadCrystal" in done.stderr  # a POSCAR is no CIF
