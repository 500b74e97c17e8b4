"""Our consensus of many clusterings compared with plain DEAP and restarts, and the proof's time.

    python -m benchmarks.consensus                      # made-up clusterings
    python -m benchmarks.consensus --run RUN            # and those of a run with groups

Synthetic: 400 clusterings of 89 elements, made from one hidden partition with merged clusters and
misplaced or missing elements. One core. Rows:

- the thesis' genetic algorithm, one generation: ours on the whole population at once, and DEAP's
  `eaSimple` with the same settings, individual by individual, both with the score in closed form;
- the same for a whole search: 500 individuals, 2 000 generations;
- the default search, which has to reach the best of 200 restarts of best single moves;
- the proof, with its gap.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from deap import algorithms, base, creator, tools

from analysis.consensus.agreement import Agreement, Reference, agree
from analysis.consensus.certificate import certify
from analysis.consensus.local import improve_by_moves
from analysis.consensus.memetic import evolve
from analysis.consensus.published import Settings, evolve_as_published
from benchmarks.child import in_one_line
from benchmarks.harness import Figure, Report, add_flags, alone, compare, timed

ELEMENTS, MODELS, CLUSTERS = 89, 400, 12
GA_SECONDS, PROOF_SECONDS = 10.0, 60.0
RESTARTS = 200
# Generations that both sides are timed for; plain DEAP would take hours for 2 000.
COMPARED = 20


def made_up(
    noise: float,
    seed: int,
    *,
    elements: int = ELEMENTS,
    models: int = MODELS,
    clusters: int = CLUSTERS,
) -> list[Reference]:
    """Clusterings of one hidden partition with merged clusters; `noise` is the misplaced share."""
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, clusters, elements)
    found = []
    for _ in range(models):
        merged = draw.integers(0, draw.integers(2, 11), clusters)[truth]
        misplaced = draw.random(elements) < noise * draw.random()
        labels = np.where(misplaced, draw.integers(0, merged.max() + 1, elements), merged)
        here = np.flatnonzero(draw.random(elements) < draw.uniform(0.8, 1.0))
        found.append(Reference(here + 1, labels[here]))
    return found


def of_run(run: Path) -> list[Reference]:
    """The clusterings of a run's models."""
    table = pd.read_parquet(run / "clusterings.parquet").sort_values("key")
    return [
        Reference(row.numbers.astype(np.int64), row.labels.astype(np.int64))
        for row in table.itertuples()
    ]


def plain_deap(agreement: Agreement, generations: int) -> None:
    """The thesis' algorithm as DEAP's tutorials write it."""
    settings, n = Settings(), len(agreement.numbers)
    if not hasattr(creator, "Partition"):
        creator.create("Best", base.Fitness, weights=(1.0,))
        creator.create("Partition", list, fitness=creator.Best)
    random.seed(0)
    toolbox = base.Toolbox()
    toolbox.register("label", random.randrange, n)
    toolbox.register("individual", tools.initRepeat, creator.Partition, toolbox.label, n)
    toolbox.register("population", tools.initRepeat, list, toolbox.individual)
    toolbox.register("evaluate", lambda one: (agreement.score(np.array(one)),))
    toolbox.register("mate", tools.cxTwoPoint)
    toolbox.register("mutate", tools.mutUniformInt, low=0, up=n - 1, indpb=settings.gene)
    toolbox.register("select", tools.selTournament, tournsize=settings.tournament)
    algorithms.eaSimple(
        toolbox.population(settings.population),
        toolbox,
        settings.crossover,
        settings.mutation,
        generations,
        verbose=False,
    )


def measure(report: Report, name: str, references: Sequence[Reference], repeats: int) -> None:
    """Times the default search and the proof on some clusterings."""
    agreement = agree(references)
    n = len(agreement.numbers)
    facts: dict[str, Any] = {"elements": n, "models": agreement.references}

    def search() -> float:
        start = time.perf_counter()
        found = evolve(agreement, seed=0)
        facts["score"], facts["clusters"] = found.score, len(np.unique(found.labels))
        facts["labels"] = found.labels.tolist()
        return time.perf_counter() - start

    def restarts() -> float:
        starts = np.random.default_rng(0).integers(0, n, (RESTARTS, n))
        start = time.perf_counter()
        gains = [improve_by_moves(labels, agreement.weights) for labels in starts]
        facts["best of the restarts"] = agreement.base + max(gains)
        return time.perf_counter() - start

    title = f"{name}: default search, beside {RESTARTS} restarts"
    report.add(compare(title, search, restarts, unit="s", repeats=repeats, facts=facts))
    report.add(proof(name, agreement, np.array(facts.pop("labels")), repeats))


def proof(name: str, agreement: Agreement, labels: np.ndarray, repeats: int) -> Figure:
    """Seconds until it is proven that no better partition exists."""
    facts: dict[str, Any] = {}

    def side() -> float:
        start = time.perf_counter()
        found = certify(agreement, labels, PROOF_SECONDS)
        facts.update(gap=found.gap, branches=found.nodes, triangles=found.triangles)
        facts["improved by"] = found.score - agreement.score(labels)
        return time.perf_counter() - start

    return alone(f"{name}: proof", side, unit="s", repeats=repeats, bar=PROOF_SECONDS, facts=facts)


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the table and writes `consensus.json`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="a run where element_groups has been")
    add_flags(parser, repeats=3)
    options = parser.parse_args(argv)
    report = Report(
        "consensus",
        {"elements": ELEMENTS, "models": MODELS, "hidden clusters": CLUSTERS},
        results=options.results,
    )
    agreement = agree(made_up(0.35, 0))
    few = Settings(generations=COMPARED)
    report.add(
        compare(
            "published algorithm, a generation",
            timed(lambda: evolve_as_published(agreement, 0, few), COMPARED),
            timed(lambda: plain_deap(agreement, COMPARED), COMPARED),
            unit="s",
            repeats=options.repeats,
        )
    )
    report.add(
        alone(
            "published algorithm, 500 × 2000",
            timed(lambda: evolve_as_published(agreement, 0)),
            unit="s",
            repeats=options.repeats,
            bar=GA_SECONDS,
        )
    )
    for noise in (0.35, 1.0):
        measure(report, f"made up, noise {noise:g}", made_up(noise, 0), options.repeats)
    if options.run:
        measure(report, "the run", of_run(options.run), options.repeats)
    report.finish()


if __name__ == "__main__":
    in_one_line(main)
