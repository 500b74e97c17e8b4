"""Our search for an order of the elements compared with scikit-learn's MDS; the whole job's time.

    python -m benchmarks.scale --counts FILE --occurrences FILE
    python -m benchmarks.scale                  # the relations that pymatgen ships

Both sides get the same matrix of chemical distances, as many random starts, at most 500 steps per
start, seed 42, and one core: the settings of the thesis, with 20 000 starts. Facts of the row: the
least stress that each found, which ours has to reach, and how many of our starts end there. The job
is `element_scale` as a user starts it, on all cores, with the same number of starts and 10 values
of λ; the first run compiles the search (numba), as on a new machine, and has a row of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.manifold import MDS
from threadpoolctl import threadpool_limits

from analysis.scale.replaceability import chemical_distances
from analysis.scale.unidimensional import find_order
from benchmarks.child import in_one_line
from benchmarks.harness import Figure, Report, Spread, add_flags, alone, compare, say
from orchestrator.data.replaceability import published_probabilities, read_replaceability

STEPS, SEED, FASTER = 500, 42, 10.0
JOB_SECONDS = 30.0


def search(distances: np.ndarray, restarts: int, repeats: int) -> Figure:
    """Seconds of all starts, on one core each."""
    facts: dict[str, Any] = {"seed": SEED, "most steps of a start": STEPS}

    def ours() -> float:
        start = time.perf_counter()
        found = find_order(distances, restarts=restarts, seed=SEED)
        facts["our stress"], facts["starts that end there"] = found.stress, found.hits
        return time.perf_counter() - start

    def theirs() -> float:
        start = time.perf_counter()
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")
            peer = MDS(
                1,
                metric="precomputed",
                init="random",
                n_init=restarts,
                max_iter=STEPS,
                random_state=SEED,
                normalized_stress=False,
            ).fit(distances)
        facts["their stress"] = float(peer.stress_)
        return time.perf_counter() - start

    find_order(distances, restarts=2, seed=SEED)  # compiles, before the clock starts
    return compare(
        f"order of {len(distances)} elements, {restarts} starts",
        ours,
        theirs,
        unit="s",
        repeats=repeats,
        warm_up=0,
        bar=FASTER,
        facts=facts,
    )


def job(flags: Sequence[str], restarts: int, cache: Path) -> float:
    """Seconds of `element_scale` as a process of its own."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "orchestrator.element_scale", *flags]
        command += ["--restarts", str(restarts), "--mds-on", "product", "--run", f"{scratch}/run"]
        start = time.perf_counter()
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the table and writes `scale.json`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", type=Path, help="as for element_scale")
    parser.add_argument("--occurrences", type=Path, help="as for element_scale")
    parser.add_argument("--restarts", type=int, default=20000)
    add_flags(parser, repeats=1)
    options = parser.parse_args(argv)
    flags = []
    for name in ("counts", "occurrences"):
        if getattr(options, name):
            flags += [f"--{name}", str(getattr(options, name))]
    known = (
        read_replaceability(options.counts, options.occurrences)
        if options.counts
        else published_probabilities()
    )
    report = Report(
        "scale",
        {"restarts": options.restarts, "elements": len(known.numbers)},
        results=options.results,
    )
    with tempfile.TemporaryDirectory() as scratch:
        first = job(flags, options.restarts, Path(scratch))
        name = "whole job, first on a machine"
        report.add(Figure(name, "s", Spread((first,)), None, None))
        say(f"{name}: {first:.1f} s")
        report.add(
            alone(
                "whole job, 10 values of λ",
                lambda: job(flags, options.restarts, Path(scratch)),
                unit="s",
                repeats=max(3, options.repeats),
                warm_up=0,
                bar=JOB_SECONDS,
            )
        )
    report.add(search(chemical_distances(known), options.restarts, options.repeats))
    report.finish()


if __name__ == "__main__":
    in_one_line(main)
