"""Our MEGNet against matgl's: the same data, split, batch size, loss and optimiser.

    python -m benchmarks.megnet --data PATH/matbench_phonons.json.gz --python PEER/bin/python

`python -m benchmarks.peers.setup PEER` makes the environment with matgl. Ours is an array of seven
mixings in one process, theirs one model per process; each has one core. Rows as in
`benchmarks.cgcnn`. The two networks differ in details (`DIFFERENCES`), so their curves are not the
same; the JSON has both over the same number of epochs, ours with the learned embedding (L) that
theirs has.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.child import Child, in_one_line
from benchmarks.harness import Report, say
from benchmarks.inputs import STRUCTURES, write_structures
from benchmarks.sides import (
    MIXINGS,
    PEERS,
    Pair,
    TrainingSide,
    add_training_flags,
    choice,
    config,
    epochs_in_turns,
    our_side,
    whole_run_alone,
    whole_runs_in_turns,
)
from trainables.models.backbones import BACKBONES

BAR = 8.0
DIFFERENCES = [
    "matgl activates the last layer of each update, ours is linear there, as Keras' MEGNet is",
    "matgl has one more activated layer [25, 25] on the Gaussians of an edge",
    "matgl starts linear layers as torch does, ours as Keras does (Glorot)",
    "matgl passes messages on the full graph, ours on the quotient, which is the same function",
]


def matgl(python: str, folder: Path, dim: int, seed: int) -> TrainingSide:
    """matgl's MEGNet on a file of structures."""
    return TrainingSide(
        name="matgl",
        command=(python, str(PEERS / "matgl_megnet.py")),
        start={
            "folder": str(folder),
            "dim": dim,
            "batch_size": BACKBONES["megnet"].recipes["paper"].batch_size,
            "seed": seed,
        },
        endless={},
    )


def curves(ours: TrainingSide, theirs: TrainingSide, epochs: int) -> dict[str, Any]:
    """Both sides' curves over `epochs`, each from its own initial weights."""
    sides = {"ours": ours, "theirs": theirs}
    found: dict[str, Any] = {"differences": DIFFERENCES}
    for name, side in sides.items():
        with side.started() as child:
            answer = child.ask("epochs", count=epochs)
        found[name] = {key: answer[key][0] for key in ("train_loss", "val_mae")}
    return found


def compare_width(report: Report, folder: Path, dim: int, options: argparse.Namespace) -> None:
    """Adds all figures of one width of the element embedding."""
    name = f"width {dim}"
    theirs = matgl(options.python, folder, dim, options.seed)
    array = our_side(folder / STRUCTURES, "megnet", dim, MIXINGS, options)
    single = our_side(folder / STRUCTURES, "megnet", dim, ["L"], options)
    learned = curves(single, theirs, options.curve_epochs)
    best = {side: min(learned[side]["val_mae"]) for side in ("ours", "theirs")}
    say(f"{name}: best validation MAE of {options.curve_epochs} epochs {best}")
    epochs_in_turns(report, name, Pair(array, theirs), options, curves=learned)
    epochs_in_turns(report, name, Pair(single, theirs), options)
    if options.epochs:
        whole_runs_in_turns(report, name, Pair(array, theirs), options, BAR)
        whole_run_alone(report, name, single, options)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_training_flags(parser, widths=(16,))
    parser.add_argument(
        "--python",
        default=os.environ.get("MATGL_PYTHON"),
        help="of the environment with matgl (default: the environment's MATGL_PYTHON)",
    )
    parser.add_argument("--curve-epochs", type=int, default=50, help="epochs of the loss curves")
    options = parser.parse_args(argv)
    if not options.python or not Path(options.python).is_file():
        parser.error("no Python with matgl; give --python or set MATGL_PYTHON")
    return options


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the table and writes `megnet.json`."""
    options = parse(argv)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        say(f"{options.data.name}: {write_structures(choice(options), folder)} crystals")
        theirs = matgl(options.python, folder, options.widths[0], options.seed)
        with Child(theirs.name, theirs.command) as child:
            peers = child.ask("versions")
        report = Report("megnet", config(options), peers=peers, results=options.results)
        for dim in options.widths:
            compare_width(report, folder, dim, options)
    report.finish()


if __name__ == "__main__":
    in_one_line(main)
