"""How close atoms come in real crystals, as a share of the sum of their covalent radii.

    python scripts/closest_contacts.py FILE[:COLUMN] ...

For each data set (as `--tasks` has them; FILE:* reads crystals without a target): crystals that are
read, those that are not, and the closest contacts of the former. A crystal whose atoms are all
farther apart than 4 Å, like one of xenon, is counted, and has no contact.
`trainables.crystals.checks.LEAST_SHARE` has to lie below all of them,
with a margin.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from trainables.crystals.checks import covalent_sums
from trainables.crystals.crystal import BadCrystal, Crystal
from trainables.crystals.parsing import parse
from trainables.crystals.sources import open_source
from trainables.crystals.symbols import symbol
from trainables.representations.graph import PER_ANGSTROM
from trainables.representations.neighbours import find_neighbours
from trainables.representations.quotient_graph import QuotientGraph

BLOCK = 256
NEAREST = QuotientGraph(name="nearest", version=1, cutoff=4.0, max_neighbours=None)
SHOWN = 3


def shares(crystals: list[Crystal]) -> Iterator[tuple[float, str]]:
    """The smallest share of each crystal, and the pair that has it."""
    found = find_neighbours(crystals, [NEAREST])
    numbers = np.concatenate([crystal.numbers for crystal in crystals])
    share = found.distance / PER_ANGSTROM / covalent_sums()[numbers[found.src], numbers[found.dst]]
    ends = np.searchsorted(found.dst, found.node_ptr)
    for start, end in pairwise(ends):
        if start == end:
            continue
        at = start + int(share[start:end].argmin())
        pair = "–".join(symbol(int(numbers[atom])) for atom in (found.src[at], found.dst[at]))
        yield float(share[at]), f"{pair} {found.distance[at] / PER_ANGSTROM:.2f} Å"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", metavar="FILE[:COLUMN]")
    for file in parser.parse_args().files:
        path, _, column = file.partition(":")
        entries = open_source(Path(path), column or None).entries()
        found: list[tuple[float, str]] = []
        read = unread = 0
        while block := list(islice(entries, BLOCK)):
            crystals = []
            for entry in block:
                try:
                    crystals.append(parse(entry))
                except BadCrystal:
                    unread += 1
            read += len(crystals)
            found += shares(crystals)
        found.sort()
        least = ", ".join(f"{share:.3f} ({pair})" for share, pair in found[:SHOWN])
        print(f"| {Path(path).name.partition('.')[0]} | {read} | {unread} | {least} |")


if __name__ == "__main__":
    main()
