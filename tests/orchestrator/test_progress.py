"""What is shown while a grid trains. No Ray runtime: Tune's callbacks are called as Tune does."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.grid.arrays import GridArray, arrays
from orchestrator.grid.request import build_config
from orchestrator.interface.format import duration, why
from orchestrator.training import progress, tune_callbacks
from orchestrator.training.events import Began, Observers, Recorded
from orchestrator.training.progress import Progress
from orchestrator.training.study import Study
from tests.orchestrator.small_data import cells_of


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Stage:
    """A grid of two arrays of three models, and a clock that is set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> None:
        config = build_config("demo", {"folds": (0,), "dims": (8,), "epochs": 10})
        self.cgcnn, self.megnet = arrays(cells_of(config))
        self.now = 1000.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)
        self.stream = stream
        # An epoch of MEGNet is said to cost thrice one of CGCNN.
        self.weights = {self.cgcnn.id: 1.0, self.megnet.id: 3.0}
        self.progress = Progress(stream)
        self.tune = tune_callbacks.PassEvents(Observers([self.progress]))
        self.progress.see(began([self.cgcnn, self.megnet], self.weights))

    def begin(self, array: GridArray) -> None:
        self.tune.on_trial_start(0, [], trial(array))

    def report(
        self, array: GridArray, epoch: int, active: int, *rows: dict[str, Any], unsaved: str = ""
    ) -> None:
        result = {
            "done": not active,
            "epoch": epoch,
            "active": active,
            "finished": list(rows),
            "unsaved": unsaved,
        }
        self.tune.on_trial_result(0, [], trial(array), result)

    @property
    def shown(self) -> str:
        return self.stream.getvalue()

    @property
    def line(self) -> str:
        return self.progress.line(self.now)


def began(
    arrays: Sequence[GridArray],
    costs: Mapping[str, float],
    recorded: Sequence[dict[str, Any]] = (),
    naming: Any = GridArray,
) -> Began:
    """Of a study that has these arrays, and one for each model that is recorded."""
    before = [SimpleNamespace(task="ionic", keys={one["key"]: one["key"]}) for one in recorded]
    study = Study(arrays=[*arrays, *before], data={}, naming=naming)
    return Began(study, arrays, costs, recorded)


def trial(array: GridArray) -> Any:
    return SimpleNamespace(config={"array": array.id})


def row(backbone: str, mixing: str, mae: float | None, **more: Any) -> dict[str, Any]:
    return {
        "key": f"{backbone} {mixing}", "task": "ionic", "backbone": backbone, "dim": 8,
        "mixing": mixing, "status": "done", "val_error": mae, "metric": "mae",
        "unit": "eV", "error": "", "array": f"ionic/fold0/{backbone}/d8", **more,
    }  # fmt: skip


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch, io.StringIO())


def test_the_line_before_anything_has_happened(stage: Stage) -> None:
    assert stage.line == "0/6 models done, 0 failed | 0 s, estimating the time left"


def test_models_run_from_their_start_and_not_from_their_first_report(stage: Stage) -> None:
    stage.begin(stage.cgcnn)
    assert "0/6 models done, 3 in training in 1 worker, 0 failed" in stage.line


def test_it_shows_that_it_goes_on_where_no_array_reports(stage: Stage) -> None:
    stage.begin(stage.cgcnn)
    stage.tune.on_step_end(0, [])
    assert stage.shown == ""
    for seconds in (10, 15, 10, 15):
        stage.now += seconds
        stage.tune.on_step_end(0, [])
    assert stage.shown.count("3 in training") == 2 and "50 s" in stage.shown


def test_the_line_counts_what_is_done_runs_and_failed(stage: Stage) -> None:
    stage.begin(stage.cgcnn)
    stage.begin(stage.megnet)
    stage.now += 60
    error = "Traceback (most recent call last):\n  …\nRuntimeError: no memory"
    stage.report(stage.cgcnn, 5, 1, row("cgcnn", "H", 0.5), row("cgcnn", "L", None, status="failed",
                 error=error))  # fmt: skip
    assert stage.line.startswith(
        "1/6 models done, 4 in training in 2 workers, 1 failed | 1 min 00 s, "
    )
    assert "ionic/fold0/cgcnn/d8 L: failed: RuntimeError: no memory\n" in stage.shown
    assert "Traceback" not in stage.shown


def test_the_time_left_is_that_of_finished_arrays_and_told_when_there_are_some(
    stage: Stage,
) -> None:
    stage.begin(stage.cgcnn)
    stage.now += 30  # of a worker's start
    stage.report(stage.cgcnn, 1, 3)
    for epoch in range(2, 11):
        stage.now += 10
        assert stage.line.split(" | ")[1].endswith("estimating the time left")
        stage.report(stage.cgcnn, epoch, 3 if epoch < 10 else 0)
    stage.begin(stage.megnet)
    assert stage.line.endswith("estimating the time left"), "of its kind none has finished"
    for epoch in range(1, 5):
        stage.now += 30
        stage.report(stage.megnet, epoch, 3)
    assert stage.line.endswith("| 4 min 00 s, 3 min 00 s left")
    stage.report(stage.megnet, 7, 0)  # all have stopped early
    assert stage.line.endswith(" 0 s left")


def test_the_best_of_each_task_is_named(stage: Stage) -> None:
    stage.report(stage.cgcnn, 1, 2, row("cgcnn", "H", 0.5))
    stage.report(stage.cgcnn, 2, 1, row("cgcnn", "0", 0.25))
    stage.report(stage.megnet, 1, 2, row("megnet", "L", 0.75))
    assert stage.line.endswith("best val MAE: ionic 0.25 eV (cgcnn d8 0)")
    stage.report(stage.megnet, 2, 1, row("megnet", "H", 7, task="a/b/phonons"))
    assert stage.line.endswith(
        "best val MAE: phonons 7 eV (megnet d8 H); ionic 0.25 eV (cgcnn d8 0)"
    )


def test_what_was_recorded_before_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, io.StringIO())
    before = [row("cgcnn", "H", 0.5, key="a"), row("cgcnn", "L", None, key="b", status="failed")]
    again = Progress(stage.stream)
    again.see(began([stage.megnet], stage.weights, before))
    assert again.line(stage.now) == (
        "1/5 models done, 1 failed | 0 s, estimating the time left"
        " | best val MAE: ionic 0.5 eV (cgcnn d8 H)"
    )
    assert stage.shown == "", "failures of long ago are not news"


def test_a_worker_that_died_is_told(stage: Stage) -> None:
    stage.begin(stage.cgcnn)
    stage.report(stage.cgcnn, 5, 3)
    stage.tune.on_trial_recover(0, [], trial(stage.cgcnn))
    assert stage.shown == "ionic/fold0/cgcnn/d8: its worker died; it begins again\n"
    assert stage.line == "0/6 models done, 0 failed | 0 s, estimating the time left"


# -------------------------------------------------------------------------------- where it is shown


def test_a_log_gets_a_line_now_and_then(stage: Stage) -> None:
    for second in range(60):
        stage.now = 1000.0 + second
        stage.report(stage.cgcnn, 1, 3)
    assert stage.shown.count("\n") == 2  # after 20 and 40 seconds
    assert "\r" not in stage.shown and "\033" not in stage.shown
    stage.progress.close()
    assert stage.shown.count("\n") == 3
    assert stage.shown.splitlines()[-1] == "0/6 models done, 0 failed | 59 s", "no time is left"


def test_a_terminal_gets_one_line_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.shutil, "get_terminal_size", lambda: os.terminal_size((60, 20)))
    stage = Stage(monkeypatch, Terminal())
    for second in range(10):
        stage.now = 1000.0 + second
        stage.report(stage.cgcnn, 1, 3, row("cgcnn", "H", 0.5))
    shown = stage.shown
    assert shown.count("\r\033[K") == 9 and "\n" not in shown
    for line in shown.split("\r\033[K"):
        assert len(line) <= 59, "a line that wraps cannot be overwritten"
    assert shown.split("\r\033[K")[-1].endswith("…")
    stage.report(stage.cgcnn, 2, 2, row("cgcnn", "L", None, status="diverged", error="infinite"))
    assert stage.shown.endswith("\r\033[Kionic/fold0/cgcnn/d8 L: diverged: infinite\n")
    stage.progress.close()
    last = stage.shown.split("\r\033[K")[-1]
    assert last.endswith("best val MAE: ionic 0.5 eV (cgcnn d8 H)\n"), "the last line is whole"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0 s"), (0.3, "<1 s"), (0.6, "1 s"), (59.4, "59 s"), (59.6, "1 min 00 s")),
        *((61, "1 min 01 s"), (3599, "59 min 59 s"), (3600, "1 h 00 min"), (90061, "25 h 01 min")),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("error", "text"),
    [("a\nb: c\n", "b: c"), ("", "no reason recorded"), (None, "no reason recorded"), ("x", "x")],
)
def test_the_last_line_of_an_error_says_why(error: str | None, text: str) -> None:
    assert why(error) == text


def test_a_snapshot_that_could_not_be_written_is_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Stage(monkeypatch, io.StringIO())
    for array in (run.cgcnn, run.megnet):
        run.begin(array)
        for epoch in (1, 2):
            run.report(array, epoch, 3, unsaved=f"{array.id}.snapshot: No space left on device")
    assert run.shown.count("No space left on device") == 1
    assert f"{run.cgcnn.id}.snapshot: No space left on device; trainings go on" in run.shown


def test_models_are_told_of_as_the_caller_names_them(stage: Stage) -> None:
    """Even if all arrays of a kind are recorded already."""

    class Shouting:
        def member(self, row: Mapping[str, Any]) -> str:
            return str(row["mixing"]).upper()

        def describe(self, row: Mapping[str, Any]) -> str:
            return str(row["backbone"]).upper()

    before = [row("cgcnn", "h", 0.5, key="a")]
    told = Progress(stage.stream)
    told.see(began([], {"none": 1.0}, before, Shouting()))
    assert told.line(stage.now).endswith("best val MAE: ionic 0.5 eV (CGCNN)")
    told.see(Recorded([row("cgcnn", "l", None, key="b", status="failed", error="why")]))
    assert stage.shown == "ionic/fold0/cgcnn/d8 L: failed: why\n"
