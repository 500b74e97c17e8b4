"""Fits from Python, in a process of their own, as a notebook's can neither run nor stop them."""

from __future__ import annotations

import inspect
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from elemgrid.given import TARGET, kept
from elemgrid.run import Run, load_run
from orchestrator.fit.files import FACTS
from orchestrator.interface.errors import UsageError


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

    Repeating the call resumes an interrupted fit, and trains nothing that is recorded.

    Args:
        structures: as `elemgrid fit` takes them, with their targets: a path, `PATH:COLUMN`, or the
            name of a MatBench task; else pymatgen or ASE objects, as of `Run.predict`.
        targets: of these objects, in their order, or in a dict by the same names; None or NaN where
            it is not known.
        run: folder of the run. Objects are kept beside it, in `RUN-structures.parquet`.
        minutes: of this machine, all together.
        folds: 0 to 4, of which each tests another fifth of the crystals; all five unless given.
        seed: of the trainings.
        max_bad: largest accepted fraction of bad crystals.
        address: of a Ray cluster; this machine alone unless given.
        verbose: whether progress is printed.

    Returns:
        The run, which predicts; `report.html` in its folder has the error and what it rests on.

    Raises:
        UsageError: what the command line would refuse, or the fit broke off.
        KeyboardInterrupt: the fit has stopped; what is recorded stays.

    >>> run = fit("crystals.csv:gap", run="runs/gap", minutes=10)  # doctest: +SKIP
    >>> run = fit(structures, gaps, run="runs/gap")                # doctest: +SKIP
    """
    folder = Path(run)
    if folder.name in ("", ".."):
        raise UsageError(f"run {str(run)!r}: name a folder")
    given = {
        "run": folder, "minutes": minutes, "seed": seed, "max_bad": max_bad, "address": address,
    }  # fmt: skip
    command = ["fit"]
    command += [f"{_flag(name)}={one}" for name, one in given.items() if one is not None]
    if folds is not None:
        command += ["--folds", *map(str, folds)]
    if targets is not None:
        with kept(structures, targets, folder) as path:
            _conduct([*command, "--", f"{path}:{TARGET}"], folder / FACTS, verbose=verbose)
    elif isinstance(structures, str | os.PathLike):
        _conduct([*command, "--", os.fspath(structures)], folder / FACTS, verbose=verbose)
    else:
        raise TypeError("targets: none are given; objects need a target each, in their order")
    return load_run(folder)


def _conduct(arguments: Sequence[str], written: Path, *, verbose: bool) -> None:
    """Runs a job, which ends with a file; a KeyboardInterrupt stops it as Ctrl-C does.

    Raises:
        UsageError: the file is not written anew; an exit status of 1 may be any crash.
    """
    before = _identity(written)
    # A session of its own: then the signal comes once, by us, from terminals and notebooks alike.
    # -P: nothing is imported from the folder that this is called in, but what is here already.
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "elemgrid", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
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
    if _identity(written) in (None, before):
        errors = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
        last = f"ended with status {status}: {said[-1] if said else 'without a word'}"
        raise UsageError(_for_python(errors[-1]) if errors else last)


def _flag(argument: str) -> str:
    return f"--{argument.replace('_', '-')}"


def _for_python(error: str) -> str:
    """An error of the command line, with the arguments of `fit` in the place of their flags."""
    flags = {_flag(name): name for name in inspect.signature(fit).parameters}
    return re.sub(r"(?<![\w/-])--[a-z-]+", lambda found: flags.get(found[0], found[0]), error)


def _identity(path: Path) -> tuple[int, int] | None:
    """Changes whenever the file is written anew; None if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _follow(job: subprocess.Popen[str], said: list[str], *, verbose: bool) -> None:
    assert job.stdout is not None
    for line in job.stdout:
        said.append(line.rstrip("\n"))
        del said[:-50]
        if verbose:
            print(line, end="", flush=True)
