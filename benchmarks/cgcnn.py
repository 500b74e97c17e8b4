"""Our CGCNN against the published code: the same data, split, width, batch size and recipe.

    python -m benchmarks.cgcnn --data PATH/matbench_phonons.json.gz --checkout PATH/cgcnn

Ours is an array of seven mixings in one process, theirs one model per process, as it is made; each
has one core. Rows for a width: epochs of warm processes in turns, and whole runs, from the start of
a process that reads CIF files until it has tested its best weights. Times are per model. The
published code computes with many denormal numbers, which some processors are slow at; these are
flushed to zero except in the row that says so, which is the code unchanged.

The JSON also has loss curves of both sides from the same weights over the same batches: once with
the same neighbours, which shows that the two are one model, and once with the graphs that each side
makes (ours rounds distances to 1e-3 Å, and orders equal distances at the cut differently).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.child import in_one_line
from benchmarks.harness import Report, say
from benchmarks.inputs import PUBLISHED, write_cif_folder
from benchmarks.published_graphs import write_published
from benchmarks.sides import (
    MIXINGS,
    PEERS,
    Pair,
    TrainingSide,
    add_training_flags,
    choice,
    config,
    epochs_in_turns,
    largest_difference,
    our_side,
    whole_run_alone,
    whole_runs_in_turns,
)
from trainables.models.backbones import BACKBONES

BARS = {64: 12.0, 16: 15.0}


def published(checkout: Path, folder: Path, dim: int, seed: int) -> TrainingSide:
    """The published code on a folder of CIF files."""
    return TrainingSide(
        name="published CGCNN",
        command=(sys.executable, str(PEERS / "published_cgcnn.py"), str(checkout)),
        start={
            "folder": str(folder),
            "dim": dim,
            "batch_size": BACKBONES["cgcnn"].recipes["paper"].batch_size,
            "seed": seed,
        },
        endless={},
    )


def curves(ours: TrainingSide, theirs: TrainingSide, folder: Path, epochs: int) -> dict[str, Any]:
    """Both sides' losses from the same weights over the same batches, and their differences."""
    weights = str(folder / "weights.npz")
    with ours.started() as our_child, theirs.started() as their_child:
        our_child.ask("save_weights", path=weights)
        our = our_child.ask("recorded_epochs", count=epochs)
        their = their_child.ask(
            "same",
            weights=weights,
            epochs=epochs,
            batches=our["batches"],
            mean=our["mean"],
            scale=our["scale"],
        )
    found: dict[str, Any] = {}
    for name in ("train_loss", "val_mae"):
        pair = our[name][0], their[name]
        found[name] = {
            "ours": pair[0],
            "theirs": pair[1],
            "largest_relative_difference": largest_difference(*pair),
        }
    return found


def compare_width(report: Report, folder: Path, dim: int, options: argparse.Namespace) -> None:
    """Adds all figures of one width."""
    name = f"width {dim}"
    theirs = published(Path(options.checkout), folder, dim, options.seed)
    array = our_side(folder, "cgcnn", dim, MIXINGS, options)
    single = our_side(folder, "cgcnn", dim, ["H"], options)
    agreement = {
        label: curves(
            single,
            published(Path(options.checkout), where, dim, options.seed),
            folder,
            options.curve_epochs,
        )
        for label, where in (("same_neighbours", folder / PUBLISHED), ("own_graphs", folder))
    }
    for label, found in agreement.items():
        far = found["train_loss"]["largest_relative_difference"]
        say(f"{name}, {label}: losses of {options.curve_epochs} epochs differ by {far:.1e} at most")
    epochs_in_turns(report, name, Pair(array, theirs), options, curves=agreement)
    epochs_in_turns(report, name, Pair(single, theirs), options)
    unchanged = replace(theirs, start={**theirs.start, "flush_denormal": False})
    epochs_in_turns(report, f"{name}, peer with denormals", Pair(array, unchanged), options)
    if options.epochs:
        whole_runs_in_turns(report, name, Pair(array, theirs), options, BARS.get(dim))
        whole_run_alone(report, name, single, options)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_training_flags(parser, widths=(64, 16))
    parser.add_argument(
        "--checkout",
        default=os.environ.get("CGCNN_CHECKOUT"),
        help="of the published code (default: the environment's CGCNN_CHECKOUT)",
    )
    parser.add_argument("--curve-epochs", type=int, default=5, help="epochs of the loss curves")
    options = parser.parse_args(argv)
    if not options.checkout or not (Path(options.checkout) / "cgcnn" / "model.py").is_file():
        parser.error("no checkout of the published code; give --checkout or set CGCNN_CHECKOUT")
    return options


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the table and writes `cgcnn.json`."""
    options = parse(argv)
    report = Report("cgcnn", config(options), results=options.results)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        say(f"{options.data.name}: {write_cif_folder(choice(options), folder)} crystals")
        write_published(choice(options), folder / PUBLISHED)
        for dim in options.widths:
            compare_width(report, folder, dim, options)
    report.finish()


if __name__ == "__main__":
    in_one_line(main)
