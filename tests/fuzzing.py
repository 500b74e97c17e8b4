"""How many examples fuzz tests try: the same few every time, or ELEMGRID_FUZZ new ones.

ELEMGRID_FUZZ=20000 pytest tests/crystals/test_fuzz_*.py tests/orchestrator/test_fuzz_flags.py
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_ASKED = os.environ.get("ELEMGRID_FUZZ")


def searching(examples: int) -> settings:
    """Settings for so many fixed examples, or for as many new ones as requested."""
    return settings(
        max_examples=int(_ASKED or examples),
        derandomize=_ASKED is None,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
