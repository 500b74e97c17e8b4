"""Runs all benchmarks that can run here; prints one line for each that cannot.

    python -m benchmarks --data PATH/matbench_phonons.json.gz --checkout PATH/cgcnn \\
        --matgl-python PEER/bin/python
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Benchmark:
    """A module of this package, its arguments ({name} is a flag's value), and what it needs."""

    name: str
    arguments: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


BENCHMARKS = (
    Benchmark("featurise", ("--data", "{data}"), ("data",)),
    Benchmark("featurise_scale"),
    Benchmark("stacking", ("--data", "{data}"), ("data",)),
    Benchmark("orchestration"),
    Benchmark("ledger"),
    Benchmark("scale"),
    Benchmark("consensus"),
    Benchmark(
        "cgcnn",
        ("--data", "{data}", "--checkout", "{checkout}", "--epochs", "{epochs}"),
        ("data", "checkout"),
    ),
    Benchmark(
        "megnet",
        ("--data", "{data}", "--python", "{matgl_python}", "--epochs", "{epochs}"),
        ("data", "matgl_python"),
    ),
    Benchmark(
        "gpu",
        ("--shards", "{shards}", "--checkout", "{checkout}"),
        ("card", "shards", "checkout"),
    ),
)

HOW = {
    "data": "no data set: DATA=PATH/matbench_phonons.json.gz",
    "checkout": "no checkout of the published CGCNN: CGCNN_CHECKOUT=PATH",
    "matgl_python": "no Python with matgl: `make bench-peers`, or MATGL_PYTHON=PATH",
    "shards": "no folder made by `python -m benchmarks.shards`: SHARDS=DIR",
    "card": "no CUDA device",
}


def lacking(given: dict[str, str], card: bool) -> dict[str, str]:
    """The missing requirements, and how to provide them; the keys are those of `HOW`."""
    found = {name: bool(path) and Path(path).exists() for name, path in given.items()}
    return {name: how for name, how in HOW.items() if not (found | {"card": card})[name]}


def plan(given: dict[str, str], epochs: int, card: bool) -> dict[str, list[str] | str]:
    """By benchmark: the arguments to run it with, or why it is skipped."""
    missing = lacking(given, card)
    found: dict[str, list[str] | str] = {}
    for benchmark in BENCHMARKS:
        reason = next((missing[need] for need in benchmark.needs if need in missing), None)
        values = [argument.format(epochs=epochs, **given) for argument in benchmark.arguments]
        found[benchmark.name] = reason or values
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmarks one after the other; returns 1 if one fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [benchmark.name for benchmark in BENCHMARKS]
    for flag in ("--data", "--checkout", "--matgl-python", "--shards"):
        parser.add_argument(flag, default="", metavar="PATH")
    parser.add_argument("--epochs", type=int, default=300, help="of whole training runs")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    options = parser.parse_args(argv)
    given = {
        name: getattr(options, name) for name in ("data", "checkout", "matgl_python", "shards")
    }
    failed = []
    for name, arguments in plan(given, options.epochs, torch.cuda.is_available()).items():
        if name not in options.only:
            continue
        if isinstance(arguments, str):
            print(f"{name}: skipped, {arguments}", flush=True)
            continue
        command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
