"""Which tests run when."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import pytest_collection_modifyitems


def test_no_test_starts_ray_outside_of_a_file_of_that_name() -> None:
    """Such files are run apart from the others, and found by their names."""
    item = SimpleNamespace(
        path=Path("test_grid.py"), nodeid="test_grid.py::test_one", fixturenames=["ray_cluster"]
    )
    with pytest.raises(pytest.UsageError, match=r"test_one starts Ray outside of a file test_\*"):
        pytest_collection_modifyitems([item])  # type: ignore[list-item]
