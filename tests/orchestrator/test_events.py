"""Events of a training reach every observer, and one that fails harms nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.training.events import Event, Note, Observers, Waited, installed_observers


class Seen:
    """Keeps what it sees."""

    def __init__(self, run: Path | None = None) -> None:
        self.run, self.events, self.closed = run, [], 0  # type: ignore[var-annotated]

    def see(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        self.closed += 1


class Failing(Seen):
    def see(self, event: Event) -> None:
        super().see(event)
        raise ConnectionError("no server\nthere")


def test_every_observer_sees_every_event_in_order() -> None:
    one, other = Seen(), Seen()
    both = Observers([one, other])
    both.see(Note("a"))
    both.see(Waited())
    both.close()
    assert one.events == other.events == [Note("a"), Waited()]
    assert (one.closed, other.closed) == (1, 1)


def test_one_that_fails_is_named_once_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    failing, good = Failing(), Seen()
    both = Observers([failing, good])
    both.see(Note("a"))
    both.see(Note("b"))
    both.close()
    assert failing.events == [Note("a")] and failing.closed == 0
    assert good.events == [Note("a"), Note("b")] and good.closed == 1
    said = capsys.readouterr().err
    assert said == "observer Failing failed and is left out (ConnectionError: there)\n"


def install(folder: Path, **entries: str) -> None:
    """A distribution with entry points, as an installed package has them."""
    info = folder / "trackers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: trackers\nVersion: 1.0\n")
    lines = "".join(f"{name} = {target}\n" for name, target in entries.items())
    (info / "entry_points.txt").write_text(f"[elemgrid.observers]\n{lines}")


def test_observers_of_installed_packages_are_made_for_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert installed_observers(tmp_path) == []
    tracker: Any = type(sys)("trackers_of_tests")
    tracker.Seen = Seen
    monkeypatch.setitem(sys.modules, "trackers_of_tests", tracker)
    install(tmp_path, good="trackers_of_tests:Seen", bad="trackers_of_tests:Missing")
    monkeypatch.syspath_prepend(str(tmp_path))
    (made,) = installed_observers(tmp_path / "run")
    assert isinstance(made, Seen) and made.run == tmp_path / "run"
    assert "observer bad is left out (AttributeError: " in capsys.readouterr().err
