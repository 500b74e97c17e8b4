"""The finished grid of the jobs' tests."""

from tests.orchestrator.conftest import finished

__all__ = ["finished"]
