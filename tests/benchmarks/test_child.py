"""A side that is a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.child import Child, ChildError, in_one_line, whole_run

SERVE = """
import sys
sys.path.insert(0, {peers!r})
from serving import serve

def add(a, b):
    print("what a library prints")
    return {{"sum": a + b}}

def fail():
    raise ValueError("the data are gone")

serve({{"add": add, "fail": fail}})
"""
PEERS = Path(__file__).resolve().parents[2] / "benchmarks" / "peers"
COMMAND = [sys.executable, "-c", SERVE.format(peers=str(PEERS))]


def test_answers_stay_apart_from_what_is_printed() -> None:
    with Child("peer", COMMAND) as child:
        assert [child.ask("add", a=n, b=1)["sum"] for n in range(3)] == [1, 2, 3]


def test_each_answer_says_what_it_cost() -> None:
    seconds, answer = whole_run("peer", COMMAND, "add", a=1, b=2)
    assert answer["sum"] == 3
    assert answer["cpu_seconds"] > 0 and seconds > 0


def test_a_child_that_dies_says_why_in_one_line() -> None:
    with pytest.raises(ChildError) as raised, Child("peer", COMMAND) as child:
        child.ask("fail")
    assert str(raised.value) == "peer: ended with status 1: ValueError: the data are gone"


def test_a_child_that_is_dead_before_it_is_asked() -> None:
    with pytest.raises(ChildError, match="peer: ended with status 3: it said nothing"):
        whole_run("peer", [sys.executable, "-c", "raise SystemExit(3)"], "add", a=1, b=2)


def test_a_child_that_is_killed() -> None:
    command = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
    with pytest.raises(ChildError, match="peer: Killed: it said nothing"):
        whole_run("peer", command, "add", a=1, b=2)


def test_a_command_that_is_not_there() -> None:
    with pytest.raises(ChildError, match="peer: cannot start no-such-python"):
        Child("peer", ["no-such-python"])


def test_an_answer_that_is_no_json() -> None:
    command = [sys.executable, "-c", "input(); print('hello')"]
    with pytest.raises(ChildError, match="peer: answered 'hello', which is no JSON"):
        whole_run("peer", command, "add", a=1, b=2)


def test_each_child_has_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    tell = "import json, os; input(); print(json.dumps({'threads': os.environ['OMP_NUM_THREADS']}))"
    with Child("peer", [sys.executable, "-c", tell]) as child:
        assert child.ask("anything")["threads"] == "1"


def test_a_program_ends_with_its_childs_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["somewhere/megnet.py"])
    with pytest.raises(SystemExit, match="megnet: peer: cannot start no-such-python"):
        in_one_line(lambda: Child("peer", ["no-such-python"]))
