"""How long fuzz tests search: some seconds, the same every time, unless ELEMGRID_FUZZ says more.

ELEMGRID_FUZZ=20000 pytest tests/crystals/test_fuzz_*.py tests/orchestrator/test_fuzz_flags.py
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_ASKED = os.environ.get("ELEMGRID_FUZZ")


def searching(examples: int) -> settings:
    """So many examples, or as many new ones as are asked for."""
    return settings(
        max_examples=int(_ASKED or examples),
        derandomize=_ASKED is None,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
