"""Analyses the elements by a grid's trained models: geometry, consensus, substitution groups.

elemgrid element_groups runs/hybrid_grid
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.consensus.stability import stability
from analysis.mapping import Map
from analysis.substitution.groups import divide, ions
from orchestrator.data.replaceability import published_probabilities, read_replaceability
from orchestrator.element_groups import relations, untrained
from orchestrator.element_groups.consensus import describe, find_consensus
from orchestrator.element_groups.files import (
    FACTS,
    RELATIONS,
    SCREENING,
    UNTRAINED,
    forget,
    write_frame,
    write_groups,
    write_models,
    write_partners,
)
from orchestrator.element_groups.flags import ALL, GroupOptions
from orchestrator.element_groups.models import Measured, measure
from orchestrator.element_groups.screening import Formulas, of_file, of_run, screen, to_frame
from orchestrator.element_groups.untrained import Start
from orchestrator.element_groups.votes import choose_votes
from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import counted
from orchestrator.nodes.place import here
from orchestrator.report.job import write_report
from orchestrator.runs import sums
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.ledger import LEDGER
from orchestrator.runs.run_directory import look_then_work

# Printed lines on single models or elements; all of them are in `consensus.json`.
LISTED = 5


def start(options: GroupOptions) -> int:
    """Checks the options and runs the job."""
    return look_then_work(options, open_run, run)


def open_run(options: GroupOptions) -> FinishedRun:
    """Opens the grid's run; all that can be wrong with the options is found here."""
    finished = FinishedRun(options.run).principal
    finished.demand_files()
    _ = finished.embeddings, finished.distances
    if finished.done.empty:
        raise UsageError(f"{options.run}: no model is done; there is nothing to group")
    for flag, column in (("tasks", "task"), ("mixings", "mixing")):
        known = set(finished.done[column])
        for asked in getattr(options, flag):
            if asked not in known and (flag, asked) != ("mixings", ALL):
                names = ", ".join(sorted(known))
                raise UsageError(f"--{flag} {asked}: no model of it is done; there are {names}")
    done = counted(len(finished.done), "model")
    print(f"{done} done, of {', '.join(finished.done['task'].unique())}")
    return finished


def run(options: GroupOptions, finished: FinishedRun) -> None:
    """Screening → geometry and clusterings → consensus → groups → comparison → report."""
    folder, start = options.run, Start.of(finished)
    place = here()
    with place.joined(options.address, cpus_per_worker=1):
        on_actors = place.mapper()
        tasks, screened = choose_tasks(options, finished, on_actors)
        measured = measure_models(options, finished, on_actors)
        votes = choose_votes(options, finished, measured, tasks)
        consensus = find_consensus(options, votes.references, on_actors)
        stable = stability(
            votes.references,
            consensus.agreement,
            consensus.certificate.labels,
            factors=list(votes.factors.values()),
            draws=options.draws,
            seed=options.seed,
            map=on_actors,
        )
        compared = compare_relations(options, finished, start, on_actors)
    forget(folder)
    numbers = consensus.agreement.numbers
    members = divide(numbers, consensus.certificate.labels, ions())
    written = [
        *write_models(folder, measured),
        write_frame(
            folder, UNTRAINED, untrained.measured(_dims(finished), numbers, options.seed, start)
        ),
        write_frame(folder, RELATIONS, compared),
        write_partners(folder, consensus.agreement),
        write_groups(folder, members, _known(numbers, stable)),
        *([write_frame(folder, SCREENING, screened)] if len(screened) else []),
    ]
    facts = describe(options, consensus, measured, votes, tasks)
    facts["untrained"] = {
        "handcrafted": start.handcrafted,
        "element_init": start.element_init,
    }
    facts[sums.MADE_FROM] = {LEDGER: finished.digest}
    groups = len({member.group for member in members})
    print(f"{facts['clusters']} clusters, {groups} groups whose ions fit into each other's places")
    # the facts last: the groups exist once they do
    for path in [*written, sums.write_json(folder, FACTS, facts)]:
        print(path)
    print(write_report(folder))


def choose_tasks(
    options: GroupOptions, finished: FinishedRun, on_actors: Map
) -> tuple[list[str], pd.DataFrame]:
    """The data sets whose models count, and the result of screening all of them."""
    present = list(finished.done["task"].unique())
    if options.skip_screening:
        return list(options.tasks) or present, pd.DataFrame()
    screened_kinds = ("scalar", "binary")  # a forest predicts one number a crystal
    data: dict[str, Formulas] = {
        task: of_run(options.run, task)
        for task in present
        if finished.kind_of(task) in screened_kinds
    }
    data |= dict(of_file(spec) for spec in options.compositions)
    errors = dict(zip(finished.best["task"], finished.best["test_error"], strict=True))
    screened = screen(data, errors, options.seed, on_actors)
    for one in screened:
        covered = "" if one.covered is None else f", {one.covered:.0%} of the way to the best model"
        kind = "balanced accuracy" if one.classes else "R²"
        print(f"  {one.task}: composition alone gives {kind} {one.explained:.2f}{covered}")
    about = [one.task for one in screened if one.enters and one.task in present]
    if not about and not options.tasks:
        print("  no data set is about composition by this rule; all enter (--tasks chooses)")
    return list(options.tasks) or about or present, to_frame(screened)


def measure_models(options: GroupOptions, finished: FinishedRun, on_actors: Map) -> Measured:
    """Measures geometry and clustering of every model that is done."""
    keys = list(finished.done["key"])
    measured = measure(finished.embeddings, keys, options.seed, on_actors)
    _list_some(measured.left_out, "left out")
    return measured


def compare_relations(
    options: GroupOptions, finished: FinishedRun, start: Start, on_actors: Map
) -> pd.DataFrame:
    """Mantel tests between the models' distances, published ones and the replaceability."""
    if options.counts:
        known = read_replaceability(options.counts, options.occurrences)
    else:
        known = published_probabilities()
    found = [
        *relations.ours(finished.distances),
        *relations.published(),
        *relations.controls(_dims(finished), options.seed, start.table),
        relations.of_replaceability(known),
    ]
    return relations.compare_all(found, options.permutations, options.seed, on_actors)


def _dims(finished: FinishedRun) -> list[int]:
    return sorted(finished.done["dim"].unique().tolist())


def _known(numbers: np.ndarray, values: np.ndarray) -> dict[int, float]:
    return {
        int(z): float(value) for z, value in zip(numbers, values, strict=True) if np.isfinite(value)
    }


def _list_some(lines: Sequence[str], what: str) -> None:
    for line in lines[:LISTED]:
        print(f"{what}: {line}", file=sys.stderr)
    if len(lines) > LISTED:
        print(f"{what}: … and {len(lines) - LISTED} more", file=sys.stderr)
