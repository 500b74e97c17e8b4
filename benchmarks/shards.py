"""Prepares the data of `benchmarks.gpu`, for a machine that has neither Ray nor pymatgen.

    python -m benchmarks.shards PATH/matbench_phonons.json.gz DIR

DIR gets a folder of shards per backbone (the one of a finished run would do as well), and in
`published/` the full graphs, as neighbour lists like those that the published CGCNN makes from
CIFs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.inputs import PUBLISHED, Choice
from benchmarks.published_graphs import write_published
from orchestrator.data.shard_writer import ShardWriter
from trainables.models.backbones import BACKBONES, representations
from trainables.representations import shards
from trainables.representations.featurise import featurise


def write_quotients(choice: Choice, folder: Path) -> None:
    """Shards of quotient graphs, a folder for each backbone."""
    entries = list(choice.entries())
    kinds = representations(BACKBONES)
    found = featurise(entries, kinds, max_atoms=1000)
    bad = next((reason for reason in found.reasons if reason), None)
    if bad:
        raise SystemExit(f"{choice.source}: {bad}")
    for backbone, spec in BACKBONES.items():
        writer = ShardWriter(folder / backbone, spec.representation.columns)
        ids = [entry.id for entry in entries]
        graphs = found.graphs[spec.representation.name]
        writer.add(shards.to_table(ids, range(len(entries)), found.target, graphs))
        writer.close({"total": len(entries)})


def main(argv: Sequence[str] | None = None) -> None:
    """Writes the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="data set, as for --tasks")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--limit", type=int, help="crystals at most")
    parser.add_argument("--fold", type=int, default=0, help="of the published code's split")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    choice = Choice(
        source=options.source, fold=options.fold, seed=options.seed, limit=options.limit
    )
    write_quotients(choice, options.folder)
    write_published(choice, options.folder / PUBLISHED)


if __name__ == "__main__":
    main()
