"""An ensemble beside published entries of a leaderboard, fold by fold.

The file is JSON: `{"scores": {"matbench_phonons": {"<entry>": [<score of fold 0>, …], …}, …}}`; the
score is the MAE, of classes the leaderboard's `rocauc`, which it computes from labels.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.metrics import ABSOLUTE
from analysis.paired import holm, paired
from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import significant
from orchestrator.runs.finished_run import FinishedRun
from trainables.crystals.registry import FOLDS, PREFIX

TEST_BY_TRAIN = 1 / (FOLDS - 1)
ENSEMBLE = "ensemble"  # the way that validation chose in each fold
Entries = Mapping[str, list[float]]  # name -> score of each official fold


def read_published(path: Path) -> dict[str, Entries]:
    """Reads the entries of each task.

    Raises:
        UsageError: the file cannot be read, or has another form; in one line.
    """
    try:
        scores = json.loads(path.read_bytes())["scores"]
        return {
            str(task).removeprefix(PREFIX): {str(name): _folds(own) for name, own in found.items()}
            for task, found in scores.items()
        }
    except OSError as error:
        raise UsageError(f"--published {path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UsageError(
            f'--published {path}: not of the form {{"scores": {{"matbench_phonons": {{"ENTRY":'
            f" [{FOLDS} numbers]}}}}}}"
        ) from None


def _folds(given: Any) -> list[float]:
    found = [float(value) for value in given]
    if len(found) != FOLDS or not all(map(math.isfinite, found)):
        raise ValueError
    return found


def compare_all(
    path: Path | None, finished: FinishedRun, facts: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The rows of `compare` of each data set that has its official folds and is in the file.

    Args:
        path: of the file; None for no comparison.
        facts: of all folds.
    """
    entries = {} if path is None else read_published(path)
    found = []
    for task in dict.fromkeys(fact["task"] for fact in facts):
        if path is None or task not in entries or finished.matbench_task(task) is None:
            if path is not None:
                why = "not its crystals and official folds" if task in entries else "no such task"
                print(f"{task}: not compared with {path.name} ({why})", file=sys.stderr)
            continue
        own = [fact for fact in facts if fact["task"] == task]
        found += [{"task": task, **row} for row in compare(entries[task], own)]
    return found


def compare(entries: Entries, folds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Differences of the ensemble from each entry of its task, over the folds that it has.

    The interval is that of `analysis.paired`, p is Holm's over the entries.

    Args:
        folds: facts of the ensemble, one a fold.

    Returns:
        For each way of combining and each entry: way, entry, score (ours), published, difference,
        low, high, p, differences (ours − published, of each fold).
    """
    return [row for way, ours in _scores(folds) for row in _beside(way, ours, entries)]


def _scores(folds: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, dict[int, float]]]:
    """Our score of each fold, by way, as the leaderboard defines it."""
    if folds[0]["metric"] != ABSOLUTE:
        yield ENSEMBLE, {fold["fold"]: fold["scores"]["rocauc_labels"] for fold in folds}
        return
    yield ENSEMBLE, {fold["fold"]: fold["test_error"][fold["way"]] for fold in folds}
    for way in folds[0]["test_error"]:
        yield way, {fold["fold"]: fold["test_error"][way] for fold in folds}


def _beside(way: str, ours: Mapping[int, float], entries: Entries) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, scores in entries.items():
        apart = [score - scores[fold] for fold, score in ours.items()]
        found = paired(apart, TEST_BY_TRAIN)
        rows.append(
            {
                "way": way,
                "entry": name,
                "score": sum(ours.values()) / len(ours),
                "published": sum(scores[fold] for fold in ours) / len(ours),
                "difference": found.mean,
                "low": _finite(found.low),
                "high": _finite(found.high),
                "p": _finite(found.p),
                "differences": apart,
            }
        )
    known = holm([math.nan if row["p"] is None else row["p"] for row in rows])
    return [row | {"p": _finite(p)} for row, p in zip(rows, known, strict=True)]


def _finite(value: float) -> float | None:
    """A value as JSON holds it; None where one fold alone gives no interval."""
    return value if math.isfinite(value) else None


def interval(row: Mapping[str, Any]) -> str:
    """The ends of a difference's interval, as text."""
    if row["low"] is None:
        return "–"
    return f"{_signed(row['low'])} … {_signed(row['high'])}"


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{significant(value)}"


def told(row: Mapping[str, Any]) -> str:
    """A difference in words, as "−3.1 (−5.9 … −0.3) from alignn's 29.54"."""
    found = _signed(row["difference"])
    return f"{found} ({interval(row)}) from {row['entry']}'s {significant(row['published'])}"
