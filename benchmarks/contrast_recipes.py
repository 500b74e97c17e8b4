"""Validation scores of contrastive settings on generated slabs; the test part is not used.

    python -m benchmarks.contrast_recipes --option filters=16 --set epochs=40 averaging=0

The published network is `--recipe paper`; `--learns work_function` is the regression end to end.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from typing import get_args

import numpy as np
import torch
from torch import nn

from analysis.embedding_heads import RIDGE, head
from analysis.retrieval import hits, similarity
from benchmarks.recipes import changed
from trainables.crystals.potentials import Grid
from trainables.crystals.slabs import MATERIALS, GeneratedSlabs
from trainables.representations.pair_table import featurise_pairs
from trainables.representations.pairs import Pairs, join
from trainables.representations.slab_graph import SlabGraph
from trainables.targets.base import Target
from trainables.training.contrast import ContrastFit
from trainables.training.contrast_models import embeddings
from trainables.training.contrast_spec import (
    CONTRAST_VERSION,
    NETWORKS,
    ContrastMembers,
    ContrastSpec,
    Learns,
    members_of,
)

MOST_ATOMS = 500


def generated(kind: SlabGraph, materials: int) -> Pairs:
    """The generated slabs, featurised."""
    grid = Grid()
    entries = list(GeneratedSlabs(materials).entries())
    table = featurise_pairs(entries, kind, grid, MOST_ATOMS)
    return join([table.content], kind, grid, len(entries))


def scores(fit: ContrastFit, model: nn.Module) -> str:
    """What the model finds and reads on the validation part, in words."""
    pairs, split = fit.pairs, fit.split
    found, held = embeddings(model, fit.data), split.validation
    alike = similarity([(found["embeddings/crystal"][held], found["embeddings/profile"][held])])
    own = np.eye(len(held), dtype=bool)
    recalls = [hits(one, own, 1).mean() for one in (alike, alike.T)]
    read = head(RIDGE, found["features/crystal"], pairs.work_function, split.train, held)
    return (
        f"recall@1 {recalls[0]:.3f} crystal → profile, {recalls[1]:.3f} profile → crystal;"
        f" ridge on the embedding {read.error:.3f} eV"
    )


def main() -> None:
    """One line every five epochs, and the scores of the epoch with the lowest error."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--learns", choices=get_args(Learns), default="pairs")
    parser.add_argument("--recipe", choices=("paper", "tuned"), default="tuned")
    parser.add_argument("--materials", type=int, default=MATERIALS)
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", dest="changes")
    parser.add_argument("--option", nargs="*", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    torch.set_num_threads(1)
    network = NETWORKS[given.recipe]
    pairs = generated(network.representation, given.materials)
    spec = ContrastSpec(
        data=pairs.fingerprint,
        target=Target(name=given.learns, unit=None),
        representation=network.representation,
        fold=0,
        seed=0,
        recipe=changed(network.recipe, given.changes),
        training=CONTRAST_VERSION,
        options=changed(network.options, given.option),
        grid=pairs.grid,
        learns=given.learns,
    )
    print(dataclasses.asdict(spec.recipe), dataclasses.asdict(spec.options))
    fit = ContrastFit(ContrastMembers(models=members_of(spec, 1)), pairs)
    (history,) = fit.training.active
    start = time.perf_counter()
    while not fit.finished:
        (trained,) = fit.training.run_epoch() or (None,)
        if history.epochs % 5 == 0 or trained:
            print(
                f"epoch {history.epochs}, {time.perf_counter() - start:.0f} s: training"
                f" {history.train_loss[-1]:.3f}, validation {history.val_error[-1]:.4f}, lowest"
                f" {history.best_error:.4f} in epoch {history.best_epoch + 1}",
                flush=True,
            )
        if trained and given.learns == "pairs":
            print(scores(fit, trained.model))


if __name__ == "__main__":
    main()
