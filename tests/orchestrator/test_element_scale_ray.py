"""The whole job on Ray: mined, found, spaced, written; and the figures on real counts."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from analysis.elements import NUMBERS, SYMBOLS
from orchestrator.data.replaceability import read_replaceability
from orchestrator.element_scale.flags import parse
from orchestrator.element_scale.job import find_numbers
from orchestrator.element_scale.mining import mine
from orchestrator.interface.errors import UsageError
from orchestrator.jobs import JOBS
from orchestrator.nodes.actors import actor_map
from orchestrator.report.job import write_report
from tests.orchestrator.small_grids import digests, rows, write_matbench
from trainables.crystals.parsing import parse as parse_entry
from trainables.crystals.sources import Source, open_source
from trainables.crystals.wyckoff import Prototype, find_prototype

pytestmark = pytest.mark.usefixtures("ray_cluster")


def exchanged(one: Prototype, other: Prototype) -> tuple[int, int] | None:
    """(A, B) where putting B for A in `one` gives `other`, by trying all there is."""
    gone = set(one.letters) - set(other.letters)
    come = set(other.letters) - set(one.letters)
    if one.group != other.group or len(gone) != 1 or len(come) != 1:
        return None
    (a,), (b,) = gone, come
    put = Prototype(one.group, {b if z == a else z: of for z, of in one.letters.items()})
    return (a, b) if put.label() == other.label() else None


def brute_force(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Eq. 3.1 pair by pair."""
    found = [find_prototype(parse_entry(entry)) for entry in source.entries()]
    materials = list({prototype.label(): prototype for prototype in found}.values())
    counts, occurrences = np.zeros((119, 119), dtype=int), np.zeros(119, dtype=int)
    for one in materials:
        occurrences[list(one.letters)] += 1
    for one, other in itertools.permutations(materials, 2):
        if (pair := exchanged(one, other)) is not None:
            counts[pair] += 1
    return counts, occurrences


def test_mining_is_counting_pairs(tmp_path: Path) -> None:
    data = rows(200)
    source = open_source(write_matbench(tmp_path / "some.json.gz", [*data, *data[:5]]))
    counts, occurrences = mine(source, max_bad=0.01)
    wanted_counts, wanted_occurrences = brute_force(source)
    assert wanted_counts.sum() > 100
    np.testing.assert_array_equal(counts, wanted_counts)
    np.testing.assert_array_equal(occurrences, wanted_occurrences)


def test_nothing_to_mine(tmp_path: Path) -> None:
    source = open_source(write_matbench(tmp_path / "one.json.gz", rows(1)))
    with pytest.raises(UsageError, match="no two crystals of one prototype"):
        mine(source, max_bad=0.01)


def test_bad_crystals_are_counted_while_mining(tmp_path: Path) -> None:
    source = open_source(
        write_matbench(tmp_path / "bad.json.gz", [*rows(60), ({"sites": []}, 1.0)])
    )
    with pytest.raises(UsageError, match="1 of 61 crystals are bad"):
        mine(source, max_bad=0.01)
    counts, _ = mine(source, max_bad=0.2)
    assert counts.any()


def scaled(run: Path, *flags: str) -> Path:
    assert JOBS["element_scale"].main(["--run", str(run), "--restarts", "300", *flags]) == 0
    return run


def test_the_job_from_crystals_to_report(tmp_path: Path) -> None:
    data = write_matbench(tmp_path / "some.json.gz", rows(200))
    flags = ("--mine", str(data), "--optuna", "9")
    run = scaled(tmp_path / "run", *flags)
    table = pd.read_csv(run / "scale.csv", keep_default_na=False)
    assert table.columns.tolist() == ["symbol", "position"]
    n = len(table)
    assert n > 10 and table["position"].is_monotonic_increasing
    assert table["position"].iloc[[0, -1]].tolist() == [1.0, float(n)]
    export = json.loads((run / "element_scale.json").read_text())
    assert export == dict(zip(table["symbol"], table["position"], strict=True))

    front = pd.read_parquet(run / "pareto.parquet")
    assert front["converged"].all() and front["chosen"].sum() == 1
    assert (front["source"] == "grid").sum() == 10 and (front["source"] == "optuna").sum() == 9
    assert (front["source"] == "refined").any()
    assert all(len(gaps) == n - 1 and min(gaps) > 0 for gaps in front["gaps"])
    chosen = front[front["chosen"]].iloc[0]
    assert chosen["variance"] == front.loc[front["on_hull"], "variance"].max()
    volume = json.loads((run / "scale.meta.json").read_text())["hypervolume"]
    assert volume["grid"] < volume["refined"] <= volume["with_optuna"]

    page = (run / "report.html").read_text()
    for title in ("The elements on one axis", "Beside other scales", "Which λ"):
        assert title in page
    # again, and in another folder: the same bytes
    other = scaled(tmp_path / "other", *flags)
    assert digests(other) == digests(run)
    # a deleted report can be had again
    (run / "report.html").unlink()
    assert write_report(run).read_text().count("plotly-graph-div") == 4


def test_the_order_knows_nothing_of_workers(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    random = np.random.default_rng(0)
    symbols = SYMBOLS[3:23]
    counts = random.integers(0, 50, (20, 20)) * (1 - np.eye(20, dtype=int))
    lines = [",".join(["", *symbols])]
    lines += [",".join([s, *map(str, row)]) for s, row in zip(symbols, counts, strict=True)]
    path.write_text("\n".join(lines))
    known = read_replaceability(path, None)
    options = parse(["--restarts", "600"])
    found = [find_numbers(options, known, actor_map(actors)) for actors in (1, 2, 3)]
    assert len({numbers.tobytes() for numbers, _ in found}) == 1
    orders = [order for _, order in found if order]
    assert len({(order.stress, order.hits, order.coordinates.tobytes()) for order in orders}) == 1


# ----------------------------------------------------------------------------------- on real counts


def real_flags(data: Path) -> list[str]:
    return [
        *("--counts", str(data / "substitution_counts_icsd_glawe2016.dat")),
        *("--occurrences", str(data / "element_occurrences_aflow_icsd.csv")),
        *("--order", str(data / "element_scale_table_3_1.csv")),
        *("--leave-out", "Cm", "Bk", "Cf", "Es", "--pick", "6", "--refine", "0"),
    ]


def gaps_of(path: Path) -> tuple[Sequence[str], np.ndarray]:
    with open(path, newline="") as file:
        table = [(row["symbol"], float(row["position"])) for row in csv.DictReader(file)]
    return [symbol for symbol, _ in table], np.diff([position for _, position in table])


@pytest.mark.parametrize(("repulsion", "least"), [("all", 0.94), ("adjacent", 0.98)])
def test_the_gaps_rank_as_those_of_the_thesis(
    tmp_path: Path, shared_data: Path, repulsion: str, least: float
) -> None:
    run = scaled(tmp_path / "run", *real_flags(shared_data), "--repulsion", repulsion)
    symbols, ours = gaps_of(run / "scale.csv")
    same, theirs = gaps_of(shared_data / "element_scale_table_3_1.csv")
    assert symbols == same and len(symbols) == 95
    assert spearmanr(ours, theirs).statistic >= least
    numbers = [NUMBERS[symbol] for symbol in symbols]
    lanthanide = np.array(
        [all(57 <= z <= 71 for z in pair) for pair in itertools.pairwise(numbers)]
    )
    assert ours[lanthanide].max() < np.median(ours)
    assert lanthanide[np.argsort(ours)[:5]].sum() >= 3  # Y stands among them
    ends = [*range(7), *range(len(ours) - 6, len(ours))]
    assert np.median(ours[ends]) > np.quantile(ours, 0.9)


def test_an_order_that_lacks_elements_is_refused(
    tmp_path: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [flag for flag in real_flags(shared_data) if flag not in ("Cm", "Bk", "Cf", "Es")]
    flags.remove("--leave-out")
    assert JOBS["element_scale"].main(["--run", str(tmp_path / "run"), *flags]) == 2
    assert "--leave-out Cm Bk Cf Es" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_phonons_can_be_mined(shared_data: Path) -> None:
    counts, occurrences = mine(open_source(shared_data / "matbench_phonons.json.gz"), max_bad=0.01)
    assert occurrences[NUMBERS["O"]] > 200
    cl, br, fe = (NUMBERS[symbol] for symbol in ("Cl", "Br", "Fe"))
    assert counts[cl, br] > 20 > counts[cl, fe]
