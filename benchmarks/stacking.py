"""Plain networks stacked by `torch.func.vmap`: an array of models against models trained alone.

    python -m benchmarks.stacking --data PATH/matbench_phonons.json.gz

Both sides are ours, in one process with one thread, with the recipe `tuned`: an epoch of an array
of five mixings, divided by five, and an epoch of one model in an array of its own. Epochs are
measured in processor time, which a busy machine blurs less.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.child import in_one_line
from benchmarks.harness import Report, Side, add_flags, compare
from benchmarks.ours import open_data
from trainables.models.backbones import BACKBONES
from trainables.representations.columns import Columns
from trainables.representations.dataset import Dataset
from trainables.training.fit import ArrayFit
from trainables.training.specification import ArraySpec

MIXINGS = ("H", "-2", "0", "2", "L")
BAR = 1 / 0.45  # five in an array in less than 0.45 of the time that they take alone


def epochs(
    backbone: str, data: Dataset[Columns], mixings: Sequence[str], dim: int, count: int
) -> Side:
    """A side that trains some epochs and measures the processor time of one model's one."""
    spec = ArraySpec(
        backbone=backbone,
        dim=dim,
        mixings={label: label for label in mixings},
        fold=0,
        seed=0,
        recipe=BACKBONES[backbone].recipes["tuned"],
    )
    fit = ArrayFit(spec, data)

    def side() -> float:
        start = time.process_time()
        for _ in range(count):
            for _ in fit.advance():
                raise SystemExit(f"{backbone}: a model has finished; take fewer pairs")
        return (time.process_time() - start) / len(mixings) / count

    return side


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the table and writes `stacking.json`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="data set, as for --tasks")
    parser.add_argument("--backbones", nargs="+", default=["schnet"], help="plain networks")
    parser.add_argument("--dim", type=int, default=16, help="of the element embedding")
    parser.add_argument("--count", type=int, default=3, help="epochs of a measurement")
    add_flags(parser, repeats=9)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    chosen = {"data": options.data.name, "dim": options.dim, "mixings": list(MIXINGS)}
    report = Report("stacking", chosen, results=options.results)
    for backbone in options.backbones:
        data = open_data(options.data, backbone)
        array, alone = (
            epochs(backbone, data, mixings, options.dim, options.count)
            for mixings in (MIXINGS, MIXINGS[:1])
        )
        name = f"{backbone}: five in an array, alone"
        report.add(
            compare(name, array, alone, unit="s/model-epoch", repeats=options.repeats, bar=BAR)
        )
    report.finish()


if __name__ == "__main__":
    in_one_line(main)
