"""Everything that needs a GPU, as one command; it needs neither Ray nor pymatgen.

    python -m benchmarks.shards PATH/matbench_phonons.json.gz DIR     # on any machine
    python -m benchmarks.gpu --shards DIR --checkout PATH/cgcnn       # on the one with a GPU

Parts (`--parts` selects): `epochs`, warm arrays against the published CGCNN, one process at a time
on the same GPU; `bandwidth`, the share of the GPU's copy bandwidth that an epoch reaches;
`precision`, the errors in float32, TF32 and bfloat16; `grid`, all models from start to finish.
Without a GPU it ends with status 3 and writes nothing; `--device cpu` runs the same code.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch

from benchmarks.grid import PRECISIONS, Job, Trained, specs, summary, train_all
from benchmarks.harness import Figure, Report, Spread, add_flags, alone, say, timed
from benchmarks.inputs import PUBLISHED
from benchmarks.sides import MANY, MIXINGS, PEERS, Pair, TrainingSide, epochs_in_turns, our_side
from benchmarks.traffic import bytes_moved, copy_bandwidth
from trainables.models.backbones import BACKBONES
from trainables.models.recipe import Recipe
from trainables.representations import shards
from trainables.training.fit import ArrayFit
from trainables.training.specification import ArraySpec

PARTS = ("epochs", "bandwidth", "precision", "grid")
GRID_MINUTES, TIMES_FASTER = 20.0, 50.0  # bars
PAPER_GRID = 280  # models to which the bar of the grid refers
NO_CARD = 3  # exit status


def published(options: argparse.Namespace, dim: int) -> TrainingSide:
    """The published code on the same device, fed with precomputed neighbour lists."""
    start = {
        "folder": str(options.shards / PUBLISHED),
        "dim": dim,
        "batch_size": BACKBONES["cgcnn"].recipes["paper"].batch_size,
        "seed": options.seed,
        "device": options.device,
    }
    command = (sys.executable, str(PEERS / "published_cgcnn.py"), options.checkout)
    return TrainingSide(name="published CGCNN", command=command, start=start, endless={})


def compare_epochs(report: Report, options: argparse.Namespace) -> dict[int, float]:
    """Warm epochs in turns; returns the published code's seconds per epoch, by width."""
    found: dict[int, float] = {}
    for dim in options.dims:
        ours = our_side(
            options.shards / "cgcnn", "cgcnn", dim, options.mixing, options, options.device
        )
        pair = Pair(ours, published(options, dim))
        figure = epochs_in_turns(report, f"cgcnn {dim}", pair, options)
        assert figure.theirs is not None
        found[dim] = figure.theirs.median
    return found


def array(options: argparse.Namespace, backbone: str, dim: int) -> ArraySpec:
    """An array that does not stop early."""
    recipe = dataclasses.replace(options.recipes[backbone], epochs=MANY, patience=MANY)
    return specs(
        [backbone], [dim], [options.fold], options.mixing, {backbone: recipe}, options.seed
    )[0]


def share_of_bandwidth(report: Report, options: argparse.Namespace) -> None:
    """Adds the time of an epoch of each backbone and width, and its share of the bandwidth."""
    # Larger than any cache; less suffices on a processor, whose copy is slow.
    copy = copy_bandwidth(options.device, 2**31 if options.device != "cpu" else 2**28)
    for backbone, dim in product(options.backbones, options.dims):
        data = shards.load(options.shards / backbone, BACKBONES[backbone].representation.columns)
        fit = ArrayFit(array(options, backbone, dim), data, options.device)
        models = len(options.mixing)

        def block(fit: ArrayFit = fit) -> None:
            for _ in range(options.block):
                fit.training.run_epoch()

        name, repeats = f"{backbone} {dim}, array of {models}", options.repeats
        side = timed(block, per=options.block * models)
        figure = report.add(alone(f"{name}, epochs", side, unit="s/model-epoch", repeats=repeats))
        nbytes = bytes_moved(fit.training.run_epoch)
        share = tuple(100 * nbytes / (took * models) / copy for took in figure.ours.values)
        facts = {"bytes_per_epoch": nbytes, "copy_bytes_per_second": copy}
        report.add(Figure(f"{name}, bandwidth", "% of a copy", Spread(share), facts=facts))


def compare_precisions(report: Report, options: argparse.Namespace) -> None:
    """Adds the models' validation errors by precision; a ratio is float32's to the other's."""
    dim = max(options.dims)
    for backbone in options.backbones:
        recipe = dataclasses.replace(options.recipes[backbone], epochs=options.precision_epochs)
        arrays = specs(
            [backbone], [dim], options.folds, options.mixing, {backbone: recipe}, options.seed
        )
        exact: Spread | None = None
        for name in PRECISIONS:
            jobs = [
                Job(spec, options.shards / backbone, options.device, name, evaluates=False)
                for spec in arrays
            ]
            title = f"{backbone} {dim}, {recipe.epochs} epochs, {name}"
            try:
                seconds, trained = train_all(jobs, options.processes)
            except RuntimeError as error:  # an operation without support for this precision
                say(f"{title}: failed ({str(error).splitlines()[0]})")
                continue
            maes = Spread(tuple(mae for found in trained for mae in found.val_mae))
            exact = exact or maes
            facts = {"seconds": seconds, "arrays": summary(trained)}
            report.add(Figure(title, "validation MAE", maes, exact, facts=facts))


def whole_grid(report: Report, options: argparse.Namespace, published: dict[int, float]) -> None:
    """Trains all models from start to finish, backbone after backbone."""
    total, models = 0.0, 0
    for backbone in options.backbones:
        arrays = specs(
            [backbone], options.dims, options.folds, options.mixing, options.recipes, options.seed
        )
        jobs = [Job(spec, options.shards / backbone, options.device) for spec in arrays]
        seconds, trained = train_all(jobs, options.processes)
        report.add(_grid_of(backbone, seconds, trained, published))
        total += seconds
        models += len(arrays) * len(options.mixing)
    bar = GRID_MINUTES if models == PAPER_GRID else None
    figure = Figure(f"grid of {models} models", "min", Spread((total / 60,)), bar=bar)
    report.add(figure)


def _grid_of(
    backbone: str, seconds: float, trained: Sequence[Trained], published: dict[int, float]
) -> Figure:
    """One backbone's part, compared with the published code's time for as many epochs."""
    models = sum(len(array.epochs) for array in trained)
    name = f"{backbone}, {models} models start to finish"
    facts: dict[str, Any] = {"arrays": summary(trained)}
    if backbone != "cgcnn" or not published:
        return Figure(name, "s", Spread((seconds,)), facts=facts)
    theirs = sum(sum(array.epochs) * published[array.spec.dim] for array in trained)
    facts["theirs"] = "epochs that ours took × seconds an epoch of the published code in this run"
    return Figure(name, "s", Spread((seconds,)), Spread((theirs,)), TIMES_FASTER, facts)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", type=Path, required=True, metavar="DIR")
    parser.add_argument("--checkout", default=os.environ.get("CGCNN_CHECKOUT"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--backbones", nargs="+", choices=BACKBONES, default=list(BACKBONES))
    parser.add_argument("--dims", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--mixing", nargs="+", default=list(MIXINGS))
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--recipe", choices=("paper", "tuned"), default="paper")
    parser.add_argument("--epochs", type=int, help="of the grid at most; the recipe's by default")
    parser.add_argument("--patience", type=int, default=500)
    parser.add_argument("--precision-epochs", type=int, default=300)
    parser.add_argument("--processes", type=int, default=4, help="arrays at a time")
    parser.add_argument("--block", type=int, default=10, help="epochs before the sides change")
    parser.add_argument("--seed", type=int, default=0)
    add_flags(parser)
    options = parser.parse_args(argv)
    options.fold = options.folds[0]
    options.recipes = {name: _recipe(name, options) for name in options.backbones}
    return options


def _recipe(backbone: str, options: argparse.Namespace) -> Recipe:
    recipe = BACKBONES[backbone].recipes[options.recipe]
    epochs = options.epochs or recipe.epochs
    return dataclasses.replace(recipe, epochs=epochs, patience=options.patience)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table and writes `gpu.json`; exit status `NO_CARD` if there is no GPU."""
    options = parse(argv)
    if options.device != "cpu" and not torch.cuda.is_available():
        say("benchmarks.gpu: no CUDA device here; nothing measured, nothing written")
        return NO_CARD
    torch.set_num_threads(1)
    config = {
        name: getattr(options, name)
        for name in ("device", "parts", "backbones", "dims", "mixing", "folds", "recipe", "seed")
    }
    config |= {name: vars(recipe) for name, recipe in options.recipes.items()}
    config |= {"processes": options.processes, "precision_epochs": options.precision_epochs}
    report = Report("gpu", config, results=options.results)
    seconds: dict[int, float] = {}
    if "epochs" in options.parts:
        if options.checkout:
            seconds = compare_epochs(report, options)
        else:
            say("epochs: skipped, no checkout of the published code (--checkout)")
    if "bandwidth" in options.parts:
        share_of_bandwidth(report, options)
    if "precision" in options.parts:
        compare_precisions(report, options)
    if "grid" in options.parts:
        whole_grid(report, options, seconds)
    report.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
