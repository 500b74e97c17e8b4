"""The equivariant network on orbits against the same on e3nn and all atoms.

    python -m benchmarks.equivariance --data PATH/matbench_phonons.json.gz

Forward and backward of one model, in batches of 128 crystals, one thread: three convolutions of 32
channels, the same radial functions and graphs (all neighbours within 4 Å). The peer has e3nn's
tensor products "uvu", linear layers and gates (`peers/e3nn_tensor.py`), as NequIP, in which an edge
knows its length alone; the bars are for that. Crystals are every so many-th of the data set, so
that the peer ends; the other rows are of our side alone, over all of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.child import in_one_line
from benchmarks.harness import Report, add_flags, alone, compare, timed
from benchmarks.peers.e3nn_tensor import E3nnNetwork
from trainables.crystals.crystal import Crystal
from trainables.crystals.parsing import parse
from trainables.crystals.sources import open_source
from trainables.models import cutoffs
from trainables.models.backbones import BACKBONES
from trainables.models.tensor import TensorNetwork
from trainables.representations.batches import DeviceColumns
from trainables.representations.full_graph import FullGraph
from trainables.representations.graph import CrystalGraph
from trainables.representations.neighbours import find_neighbours

BATCH = 128
DIM = 16
SIZES = {"width": 32, "layers": 3, "hidden": 64, "basis": 12}
BARS: dict[int, float | None] = {1: None, 2: 15.0, 3: 20.0}  # times as fast as the peer, by l_max
EPOCH = 0.8  # seconds at l ≤ 2


def loaded(crystals: Sequence[Crystal], kind: CrystalGraph) -> DeviceColumns:
    """Crystals as a network gets them."""
    graphs = kind.build(find_neighbours(crystals, [kind]))
    return DeviceColumns.load(graphs, np.zeros(len(graphs)))


def passed(call: Callable[[Any], torch.Tensor], data: DeviceColumns) -> None:
    """Forward and backward over a data set."""
    for batch in data.batches(torch.arange(len(data)), BATCH):
        call(batch).square().mean().backward()


def ours(network: TensorNetwork, elements_zd: torch.Tensor, batch: Any) -> torch.Tensor:
    """The features of the last layer."""
    last: torch.Tensor = network.features(elements_zd, batch)[-1]
    return last


def networks(order: int, ends: bool) -> tuple[TensorNetwork, E3nnNetwork]:
    """Ours and the peer, whose last features have all orders too."""
    torch.manual_seed(0)
    own = TensorNetwork(DIM, l_max=order, result=order, ends=ends, **SIZES)
    return own, E3nnNetwork(DIM, l_max=order, ends=ends, cutoff=cutoffs.TENSOR, **SIZES)


def parameters(network: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(one.numel() for one in network.parameters())


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the table and writes `equivariance.json`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="data set, as for --tasks")
    parser.add_argument("--every", type=int, default=4, help="crystals between two of the pairs")
    parser.add_argument("--orders", type=int, nargs="+", default=[2, 3], help="values of l_max")
    add_flags(parser, repeats=5)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    crystals = [parse(entry) for entry in open_source(options.data).entries()]
    some = crystals[:: options.every]
    orbits = replace(BACKBONES["tensor"].representation, cutoff=cutoffs.TENSOR, max_neighbours=None)
    whole = FullGraph(name="full", version=1, cutoff=cutoffs.TENSOR, max_neighbours=None)
    elements_zd = torch.randn(119, DIM)
    chosen = {"data": options.data.name, "crystals": len(some), "batch": BATCH, **SIZES}
    report = Report("equivariance", chosen, results=options.results)
    pair = loaded(some, orbits), loaded(some, whole)
    every = loaded(crystals, orbits)
    for order, ends in product(options.orders, (False, True)):
        own, peer = networks(order, ends)
        call = partial(ours, own, elements_zd)
        knows = "both ends" if ends else "its length"
        report.add(
            compare(
                f"l ≤ {order}, an edge knows {knows}: on orbits, e3nn on all atoms",
                timed(partial(passed, call, pair[0]), len(some)),
                timed(partial(passed, partial(peer, elements_zd), pair[1]), len(some)),
                unit="s/crystal",
                repeats=options.repeats,
                bar=None if ends else BARS[order],
                facts={"parameters": [parameters(own), parameters(peer)]},
            )
        )
        report.add(
            alone(
                f"l ≤ {order}, an edge knows {knows}: {len(crystals)} crystals",
                timed(partial(passed, call, every)),
                unit="s",
                repeats=options.repeats,
                bar=EPOCH if order == 2 else None,
            )
        )
    report.finish()


if __name__ == "__main__":
    in_one_line(main)
