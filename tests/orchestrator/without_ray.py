"""Jobs that train networks of their own kind, in tests that must not begin Ray."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from orchestrator.data import entries
from orchestrator.nodes.this_machine import ThisMachine
from orchestrator.training import networks, train


@contextmanager
def without_ray() -> Iterator[None]:
    """Work runs in processes of this machine."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (entries, networks, train):
            patch.setattr(module, "here", ThisMachine)
        yield
