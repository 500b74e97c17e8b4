"""Values on a command line: read, or refused in one line that says what is allowed."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from orchestrator.interface.errors import UsageError
from orchestrator.interface.parser import Distinct, Parser, positive, share, whole_number
from orchestrator.jobs import JOBS


def parser() -> Parser:
    made = Parser(prog="test")
    made.add_argument("--seeds", nargs="+", action=Distinct, type=whole_number(0), default=(0,))
    made.add_argument("--fold", type=whole_number(0, 4))
    made.add_argument("--eta", type=positive)
    made.add_argument("--max-bad", type=share)
    return made


def test_values_that_are_right() -> None:
    given = parser().parse_args(
        ["--seeds", "3", "0", "--fold", "4", "--eta", "1e-3", "--max-bad", "1"]
    )
    assert vars(given) == {"seeds": (3, 0), "fold": 4, "eta": 1e-3, "max_bad": 1.0}
    assert parser().parse_args([]).seeds == (0,)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--seeds 1 2 1 2", "--seeds: given twice: 1, 2"),
        ("--seeds 1 -2", "--seeds: -2 is wrong, it must be at least 0"),
        ("--seeds one", "--seeds: 'one' is no whole number"),
        ("--fold 5", "--fold: 5 is wrong, it must be from 0 to 4"),
        ("--fold 1.0", "--fold: '1.0' is no whole number"),
        ("--eta 0", "--eta: 0 is wrong, it must be a positive number"),
        ("--eta inf", "--eta: inf is wrong"),
        ("--eta nan", "--eta: nan is wrong"),
        ("--eta much", "--eta: 'much' is no number"),
        ("--max-bad 1.5", "--max-bad: 1.5 is wrong, it must be a share between 0 and 1"),
    ],
)
def test_values_that_are_wrong(flags: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)) as caught:
        parser().parse_args(flags.split())
    assert "\n" not in str(caught.value)


def test_versions_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["--version", "--no-such-flag"])
    assert ended.value.code == 0
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"elemgrid \d+\.\d+.*", first)
    assert re.fullmatch(r"python 3\.\S+ torch \d\S+ ray \d\S+", second)


@pytest.mark.parametrize("number", ["0", "-3"])
def test_no_list_has_fewer_than_one_line(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert JOBS["substitutes"].main(["Na", "--top", number]) == 2
    assert f"--top: {number} is wrong, it must be at least 1" in capsys.readouterr().err


def test_where_a_scale_goes_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        JOBS["element_scale"].main(["--help"])
    assert "run directory; default runs/scale" in " ".join(capsys.readouterr().out.split())


def test_a_flag_of_several_jobs_says_the_same_in_each() -> None:
    shared = ("--address", "--data-dir", "--follow-links", "--extend", "--retry-failed", "--epochs")
    helps: dict[str, set[str | None]] = {flag: set() for flag in shared}
    for job in ("hybrid_grid", "fit", "transfer", "dos", "contrast", "element_scale", "predict"):
        declared = import_module(f"orchestrator.{job}.flags")._parser()._option_string_actions
        for flag in helps.keys() & declared.keys():
            if declared[flag].nargs is None or declared[flag].nargs == 0:  # else an axis of a grid
                helps[flag].add(declared[flag].help)
    assert {flag: len(told) for flag, told in helps.items()} == dict.fromkeys(shared, 1)
