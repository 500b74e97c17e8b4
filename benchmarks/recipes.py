"""Validation errors of a recipe, for choosing recipes; test folds are never used.

    python -m benchmarks.recipes PATH/matbench_phonons.json.gz --backbone megnet --recipe tuned \\
        --folds 1 4 --mixing H -2 --set batch_size=128 milestones=100,200
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

import torch
from pydantic import TypeAdapter, ValidationError

from benchmarks.inputs import featurised
from trainables.crystals.sources import open_source
from trainables.models.backbones import BACKBONES
from trainables.models.options import ContrastOptions, NetworkOptions
from trainables.models.recipe import Recipe
from trainables.representations.dataset import Dataset
from trainables.training.fit import ArrayFit
from trainables.training.specification import ArraySpec

Given = TypeVar("Given", Recipe, NetworkOptions, ContrastOptions)


def changed(given: Given, changes: list[str]) -> Given:
    """A recipe or options with `name=value` changes, parsed as the type of the field they replace.

    Fields with several values take them separated by commas.

    Raises:
        SystemExit: one line that names the invalid change.
    """
    types = get_type_hints(type(given))
    values: dict[str, Any] = {}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in types:
            raise SystemExit(f"{change}: there are {', '.join(types)}")
        several = get_origin(types[name]) is tuple
        try:
            values[name] = TypeAdapter(types[name]).validate_python(
                tuple(text.split(",")) if several else text
            )
        except ValidationError as error:
            raise SystemExit(f"{change}: {error.errors()[0]['msg']}") from None
    return dataclasses.replace(given, **values)


def best_validation(spec: ArraySpec, dataset: Dataset) -> dict[str, tuple[float, int]]:
    """Lowest validation MAE and its epoch, by mixing."""
    training = ArrayFit(spec, dataset).training
    histories = list(training.active)
    while training.active:
        training.run_epoch()
    return {
        history.member.label: (history.best_error, history.best_epoch + 1) for history in histories
    }


def main() -> None:
    """Prints one line per fold and the mean over all models."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, help="data set, as for --tasks of hybrid_grid")
    parser.add_argument("--target", help="column of the target")
    parser.add_argument("--backbone", choices=BACKBONES, required=True)
    parser.add_argument("--recipe", choices=("paper", "tuned"), default="tuned")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--mixing", nargs="+", default=["H", "-2"])
    parser.add_argument("--folds", nargs="+", type=int, default=[1, 4])
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", dest="changes")
    parser.add_argument(
        "--option", nargs="*", default=[], metavar="NAME=VALUE", help="of the network, as depth=3"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    dataset = featurised(open_source(options.path, options.target).entries(), options.backbone)
    recipe = changed(BACKBONES[options.backbone].recipes[options.recipe], options.changes)
    network = changed(BACKBONES[options.backbone].options(), options.option)
    print(recipe, network)
    found: list[float] = []
    start = time.perf_counter()
    for fold in options.folds:
        spec = ArraySpec(
            backbone=options.backbone,
            dim=options.dim,
            mixings={label: label for label in options.mixing},
            fold=fold,
            seed=0,
            recipe=recipe,
            options=network,
        )
        best = best_validation(spec, dataset)
        found.extend(mae for mae, _ in best.values())
        cells = ", ".join(f"{name} {mae:.2f} (epoch {at})" for name, (mae, at) in best.items())
        print(f"fold {fold}: {cells}", flush=True)
    elapsed = time.perf_counter() - start
    print(
        f"mean validation MAE {statistics.mean(found):.2f} of {len(found)} models, {elapsed:.0f} s"
    )


if __name__ == "__main__":
    main()
