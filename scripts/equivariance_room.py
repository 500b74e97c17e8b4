"""Print how many orbits of atoms allow a vector or a deviator at all, for docs/results.md.

    python scripts/equivariance_room.py FILE …

Of each data set, in any format that `--tasks` takes: the shares of its orbits that allow no feature
of l = 1 (1o), and none of l = 2 (2e), and of its crystals that are flat, where no orbit allows one
of either. Nothing is trained, and no target is read.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from trainables.crystals.sources import ANY_COLUMN, open_source
from trainables.representations.equivariance_room import Room, site_graphs
from trainables.representations.orbit_graph import OrbitGraphs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", metavar="FILE", type=Path)
    print("| data set | crystals | bad | not symmetrised | orbits | no l = 1 | no l = 2 | flat |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for path in parser.parse_args().files:
        parts, bad = [OrbitGraphs.empty()], 0
        for graphs, _, refused in site_graphs(open_source(path, ANY_COLUMN).entries()):
            parts.append(graphs)
            bad += refused
        room = Room.of(OrbitGraphs.join(parts))
        counts = [room.crystals, bad, room.kept, room.orbits]
        orbits, crystals = max(room.orbits, 1), max(room.crystals, 1)
        shares = [room.no_vector / orbits, room.no_deviator / orbits, room.flat / crystals]
        cells = [path.name.partition(".")[0], *counts, *(f"{share:.1%}" for share in shares)]
        print("|", " | ".join(map(str, cells)), "|")


if __name__ == "__main__":
    main()
