"""What a record says of where its model is trained. No Ray runtime."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pyarrow as pa
import pytest
import torch

from orchestrator.runs.record_contents import ENVIRONMENT, TYPES
from orchestrator.training.environment import environment, versions
from trainables.kernels import library


@pytest.fixture
def fresh_kernels() -> Iterator[None]:
    library.load.cache_clear()
    yield
    library.load.cache_clear()


def test_it_has_the_columns_of_a_record() -> None:
    found = environment("cpu")
    assert found.keys() == {field.name for field in ENVIRONMENT}
    assert all(isinstance(found[field.name], TYPES[field.type]) for field in ENVIRONMENT)
    assert pa.schema(ENVIRONMENT).names == list(found)
    assert json.loads(found["versions"]) == versions()


def test_it_says_whether_there_are_kernels(
    monkeypatch: pytest.MonkeyPatch, fresh_kernels: None
) -> None:
    kernels = library.load()
    if kernels is None:
        pytest.skip(library.missing())
    assert environment("cpu")["kernels"] == kernels.identity[:12] != library.NONE
    monkeypatch.setenv(library.SWITCH, "0")
    library.load.cache_clear()
    assert environment("cpu")["kernels"] == library.NONE


def test_it_counts_the_threads_that_there_are_now() -> None:
    before = torch.get_num_threads()
    try:
        for threads in (2, 1):
            torch.set_num_threads(threads)
            assert environment("cpu")["threads"] == threads
    finally:
        torch.set_num_threads(before)
