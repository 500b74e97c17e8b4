"""Fits from Python, in a process of their own, as a notebook's can neither run nor stop them."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from elemgrid.run import Run, load_run
from elemgrid.structures import texts_of
from orchestrator.interface.errors import UsageError

TARGET = "target"
DONE, SOME_FAILED, INTERRUPTED = 0, 1, 130


def fit(
    structures: object,
    targets: Iterable[object] | None = None,
    *,
    run: str | os.PathLike[str],
    minutes: float = 30,
    folds: Sequence[int] | None = None,
    seed: int = 0,
    max_bad: float | None = None,
    address: str | None = None,
    verbose: bool = True,
) -> Run:
    """A good model of crystals with a number or a class each, within some minutes.

    The same call goes on where an interrupted one ended.

    Args:
        structures: as `elemgrid fit` takes them, with their targets: a path, `PATH:COLUMN`, or the
            name of a MatBench task; else pymatgen or ASE objects, as of `Run.predict`.
        targets: of these objects, in their order; None or NaN where it is not known.
        run: folder of the run. Objects are kept beside it, in `RUN-structures.parquet`.
        minutes: of this machine, all together.
        folds: 0 to 4, of which each tests another fifth of the crystals; all five unless given.
        max_bad: largest accepted fraction of bad crystals.
        address: of a Ray cluster; this machine alone unless given.
        verbose: whether progress is printed.

    Returns:
        The run, which predicts; `report.html` in its folder has the error and what it rests on.

    Raises:
        UsageError: what the command line would refuse.
        KeyboardInterrupt: the fit has stopped; what is recorded stays.

    >>> run = fit("crystals.csv:gap", run="runs/gap", minutes=10)  # doctest: +SKIP
    >>> run = fit(structures, gaps, run="runs/gap")                # doctest: +SKIP
    """
    folder = Path(run)
    if targets is None:
        if not isinstance(structures, str | os.PathLike):
            raise TypeError("targets: none are given; objects need a target each, in their order")
        source = os.fspath(structures)
    else:
        source = f"{keep(structures, list(targets), folder)}:{TARGET}"
    flags = [source, "--run", str(folder), "--minutes", str(minutes), "--seed", str(seed)]
    if folds is not None:
        flags += ["--folds", *map(str, folds)]
    if max_bad is not None:
        flags += ["--max-bad", str(max_bad)]
    if address is not None:
        flags += ["--address", address]
    _command(["fit", *flags], verbose=verbose)
    return load_run(folder)


def keep(structures: object, targets: Sequence[object], run: Path) -> Path:
    """Writes structures and targets beside a run, unless they are there; returns the file.

    Raises:
        UsageError: other structures are there.
        TypeError: something is no structure.
        ValueError: there is not one target for each.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from orchestrator.runs import durable

    if isinstance(structures, str | os.PathLike):
        raise TypeError(
            "targets: are in the file of the structures; name their column, PATH:COLUMN"
        )
    texts = texts_of(structures)
    if len(texts) != len(targets):
        raise ValueError(f"{len(texts)} structures and {len(targets)} targets")
    table = pa.table(
        {
            "id": list(texts),
            "structure": list(texts.values()),
            TARGET: pa.array([_plain(one) for one in targets], from_pandas=True),
        }
    )
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd")
    path = run.with_name(f"{run.name}-structures.parquet")
    if not path.exists():
        durable.make_folder(path.parent)
        durable.write_bytes(path, content.getvalue())
    elif path.read_bytes() != content.getvalue():
        raise UsageError(f"{path}: holds other structures or targets; name another run")
    return path


def _plain(value: object) -> object:
    """A number of numpy's as Python's."""
    return value.item() if hasattr(value, "item") else value


def _command(arguments: Sequence[str], *, verbose: bool) -> None:
    """Runs a job; a KeyboardInterrupt stops it as Ctrl-C does."""
    # A session of its own: then the signal comes once, by us, from terminals and notebooks alike.
    with subprocess.Popen(
        [sys.executable, "-m", "elemgrid", *arguments],
        env=_environment(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as job:
        said: list[str] = []
        try:
            _follow(job, said, verbose=verbose)
        except KeyboardInterrupt:
            job.send_signal(signal.SIGINT)
            _follow(job, said, verbose=verbose)
            raise
        status = job.wait()
    if status not in (DONE, SOME_FAILED):
        errors = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
        raise UsageError(errors[-1] if errors else f"ended with status {status}: {said[-1:]}")


def _follow(job: subprocess.Popen[str], said: list[str], *, verbose: bool) -> None:
    assert job.stdout is not None
    for line in job.stdout:
        said.append(line.rstrip("\n"))
        del said[:-50]
        if verbose:
            print(line, end="", flush=True)


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """With the modules that are found here: a notebook may have added to the path."""
    return {**given, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
