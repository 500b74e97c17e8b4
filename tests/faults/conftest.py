"""One cluster and one undisturbed run for all fault tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.site import Site

GOLDEN = "golden"


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A cluster of one node with two CPUs, and a run on it without any fault."""
    site = Site.make(tmp_path_factory.mktemp("site"))
    with site.cluster():
        ended = site.drive(site.flags(GOLDEN))
        assert ended.code == 0, ended.err
        yield site
        site.clean()


@pytest.fixture(autouse=True)
def _disarmed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Disarms faults that did not happen, so that they do not happen in the next test."""
    yield
    if "site" in request.fixturenames:
        request.getfixturevalue("site").disarm()
        request.getfixturevalue("site").release()
