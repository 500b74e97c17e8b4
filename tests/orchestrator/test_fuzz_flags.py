"""Whatever stands on the command line: options, or one line and exit status 2. No Ray."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.grid.config import GridConfig
from orchestrator.grid.request import Options, build_config
from orchestrator.hybrid_grid.flags import _parser, parse
from orchestrator.interface.errors import UsageError
from orchestrator.interface.job import USAGE, conduct
from orchestrator.transfer.flags import TransferOptions
from orchestrator.transfer.flags import parse as parse_transfer
from tests.fuzzing import searching

FLAGS = sorted(set(_parser()._option_string_actions) - {"-h", "--help", "--version"})
VALUES = st.one_of(
    st.sampled_from(["demo", "paper", "ionic", "phonons", "cgcnn", "H", "L", "0", "-2", "tuned"]),
    st.sampled_from(
        ["nan", "inf", "-1", "1e999", "0x1", "\uff19", "", "a\nb", "--", "-", "/", "..."]
    ),
    st.integers().map(str),
    st.floats().map(str),
    # no process can be given a zero byte
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12),
)
WORDS = st.sampled_from(FLAGS) | VALUES | st.sampled_from(FLAGS).map(lambda flag: flag[:-1])
LINES = st.lists(WORDS, max_size=12) | st.lists(
    st.tuples(st.sampled_from(FLAGS), VALUES).map(list), max_size=6
).map(lambda pairs: [word for pair in pairs for word in pair])


def refused(work: Any) -> None:
    """The job ends with the status and the line of a wrong command line."""
    said = io.StringIO()
    with redirect_stderr(said), redirect_stdout(io.StringIO()):
        assert conduct(work) == USAGE
    (line,) = said.getvalue().splitlines()
    assert line.startswith("error: ") and len(line) > len("error: ")


@searching(400)
@given(LINES)
def test_any_command_line_of_the_grid(argv: list[str]) -> None:
    try:
        assert isinstance(parse(["--preset", "demo", *argv]), Options)
    except UsageError:
        refused(lambda: parse(["--preset", "demo", *argv]))


@searching(150)
@given(LINES)
def test_any_command_line_of_the_comparison(argv: list[str]) -> None:
    try:
        assert isinstance(parse_transfer(["--tasks", "steels", *argv]), TransferOptions)
    except UsageError:
        refused(lambda: parse_transfer(["--tasks", "steels", *argv]))


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@searching(300)
@given(st.dictionaries(st.sampled_from(list(GridConfig.model_fields)) | st.text(), ANYTHING))
def test_any_settings(given: dict[str, Any]) -> None:
    try:
        assert isinstance(build_config("demo", given), GridConfig)
    except UsageError:
        refused(lambda: build_config("demo", given))
