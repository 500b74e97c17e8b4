"""A one-dimensional scale of the elements, from how readily they replace each other.

elemgrid element_scale --run runs/scale
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from analysis.elements import NUMBERS, SYMBOLS
from analysis.mapping import Map
from analysis.scale import pareto
from analysis.scale.fidelity import MODIFIED_PETTIFOR, known_scales
from analysis.scale.pareto import search_pairs
from analysis.scale.replaceability import (
    Replaceability,
    chemical_distances,
    dissimilarities,
    from_counts,
)
from analysis.scale.unidimensional import Order, find_order
from orchestrator.data.datasets import resolve
from orchestrator.data.replaceability import published_probabilities, read_replaceability
from orchestrator.element_scale.files import Scale, write_scale
from orchestrator.element_scale.flags import MDS, ScaleOptions
from orchestrator.element_scale.orders import named_order
from orchestrator.interface.errors import UsageError
from orchestrator.interface.extras import RAY
from orchestrator.nodes.place import here
from orchestrator.report.job import write_report
from orchestrator.runs.run_directory import demand_folder, look_then_work
from trainables.crystals.sources import ANY_COLUMN, Source

# Refinement ends once a round gains less hypervolume.
FLAT = 1e-3


def start(options: ScaleOptions) -> int:
    """Checks the options and runs the job."""
    return look_then_work(options, open_relations, run)


def open_relations(options: ScaleOptions) -> Replaceability | Source:
    """S, or the crystals to mine it from; all that can be wrong with the options is found here."""
    demand_folder(options.run)
    if options.mine:
        return resolve(
            options.mine, options.data_dir, target=ANY_COLUMN, follow_links=options.follow_links
        )
    if options.counts:
        known = read_replaceability(options.counts, options.occurrences)
    else:
        known = published_probabilities()
    _describe(known)
    if options.order != MDS:
        named_order(options.order, known, options.leave_out)
    return known


def run(options: ScaleOptions, given: Replaceability | Source) -> None:
    """Replaceabilities → distances → order → gaps of each λ → the scale."""
    place = here()
    with place.joined(options.address, cpus_per_worker=1):
        on_actors = place.mapper()
        known = given if isinstance(given, Replaceability) else _mined(given, options.max_bad)
        numbers, order = find_numbers(options, known, on_actors)
        relations = known.of(numbers)
        scale = space(options, relations, on_actors)
    for path in write_scale(options, scale, order, given):
        print(path)
    print(write_report(options.run))


def find_numbers(
    options: ScaleOptions, known: Replaceability, on_actors: Map
) -> tuple[np.ndarray, Order | None]:
    """Atomic numbers in their order, and how MDS found it if it was asked for."""
    if options.order != MDS:
        return named_order(options.order, known, options.leave_out), None
    unwanted = [NUMBERS[symbol] for symbol in options.leave_out]
    numbers = np.setdiff1d(known.numbers, unwanted)
    if len(numbers) < 3:
        raise UsageError(f"{len(numbers)} elements with data; a scale needs three")
    distances = dissimilarities(known.of(numbers), options.mds_on)
    shown = _showing(on_actors, "of the search for an order")
    order = find_order(distances, restarts=options.restarts, seed=options.seed, map=shown)
    print(
        f"order: stress {order.stress:.6g}; {order.hits} of {order.restarts} restarts ended there"
    )
    return _oriented(numbers[order.order]), order


def _oriented(numbers: np.ndarray) -> np.ndarray:
    """Orients the axis, which has no direction: non-metals come last, as on Pettifor's scales."""
    places = known_scales()[MODIFIED_PETTIFOR]
    known = [places[z] for z in numbers.tolist() if z in places]
    rising = np.corrcoef(known, range(len(known)))[0, 1] >= 0 if len(known) > 1 else True
    return numbers if rising else numbers[::-1]


def space(options: ScaleOptions, relations: Replaceability, on_actors: Map) -> Scale:
    """Computes the gaps of each λ, adds λ where the front bends, and chooses one."""
    pull = relations.symmetric
    grid = pareto.scan(pull, options.lambdas, options.eta, options.repulsion, on_actors)
    refined = pareto.refine(
        pull,
        grid,
        most=options.refine,
        tolerance=FLAT,
        repulsion=options.repulsion,
        map=on_actors,
    )
    paired = search_pairs(
        pull,
        options.lambdas,
        trials=options.optuna,
        seed=options.seed,
        repulsion=options.repulsion,
        map=on_actors,
    )
    found = [*grid, *refined]
    if options.pick is None:
        chosen = found[pareto.least_even(found)]
    else:
        chosen = next(one for one in grid if one.lam == options.pick)
    scale = Scale(relations, chemical_distances(relations), grid, refined, paired, chosen)
    print(
        f"{len(grid)} values of λ and {len(refined)} more where the front bends: hypervolume"
        f" {scale.hypervolume(grid):.3f} → {scale.hypervolume(found):.3f}"
    )
    rule = "asked for" if options.pick else "the least even scale on the front's hull"
    print(f"λ = {chosen.lam:g} ({rule}), gradient {chosen.gradient:.1e}")
    return scale


def _mined(source: Source, max_bad: float | None) -> Replaceability:
    RAY.demand("element_scale --mine")
    from orchestrator.element_scale.mining import mine  # here: not all have Ray

    known = from_counts(*mine(source, max_bad))
    _describe(known)
    return known


def _describe(known: Replaceability) -> None:
    """Prints what is known, and what had to be filled in."""
    pairs = int((np.triu(known.symmetric, 1) > 0).sum())
    print(f"{len(known.numbers)} elements, {pairs} pairs that replace each other")
    for what, which in (
        ("replaced by none, as far from all as the farthest pair", known.isolated),
        ("in no crystal that is counted, their number is estimated", known.estimated),
    ):
        if which:
            print(f"  {what}: {' '.join(SYMBOLS[z] for z in which)}")


def _showing(on_actors: Map, what: str) -> Map:
    """The same map, which also prints its progress on a terminal."""

    def run(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        listed = list(items)
        for done, result in enumerate(on_actors(function, listed), 1):
            if sys.stderr.isatty():
                share = f"{100 * done // len(listed):3d} % {what}" if done < len(listed) else ""
                print(f"\r\033[K{share}", end="", file=sys.stderr, flush=True)
            yield result

    return run
