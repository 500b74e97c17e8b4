"""The file by which nodes tell whether they reach the run directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.nodes.probe import probe_in, writes_beside


def test_it_is_there_for_as_long_as_it_is_looked_for(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "new"
    with probe_in(run) as probe, probe_in(run) as other:
        assert probe.parent == run and probe != other
        assert writes_beside(probe)
        assert not writes_beside(run / "another")
    assert run.is_dir() and not any(run.iterdir())


def test_it_goes_when_the_looking_fails(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no answer"), probe_in(tmp_path):
        raise OSError("no answer")
    assert not any(tmp_path.iterdir())
