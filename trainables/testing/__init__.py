"""Contract tests that parts of any package have to pass; they need pytest.

A test module subclasses a contract and names its part, and pytest runs what the contract demands:

    class TestMine(BackboneContract):
        spec = SPEC
"""

import pytest

pytest.register_assert_rewrite(f"{__name__}.backbones", f"{__name__}.representations")
