"""Wins beside chance, and what mixings change against handcrafted vectors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from analysis.paired import paired
from analysis.wins import chance_of_mixings, from_handcrafted, share_interval, wins_by_class

Make = Callable[..., pd.DataFrame]


@pytest.mark.parametrize(("won", "of"), [(0, 5), (3, 5), (5, 5), (7, 30)])
def test_the_interval_is_clopper_and_pearsons(won: int, of: int) -> None:
    known = binomtest(won, of).proportion_ci(method="exact")
    assert share_interval(won / of, of) == pytest.approx((known.low, known.high))


def test_five_of_seven_mixings_win_by_chance(make_ledger: Make) -> None:
    """Errors without any pattern: hybrids win near 5/7, which the interval has."""
    ledger = make_ledger(folds=40, dims=(16,), backbones=("cgcnn",))
    ledger["val_error"] = np.random.default_rng(0).random(len(ledger))
    found = wins_by_class(ledger).set_index("class")
    assert found["chance"].to_dict() == pytest.approx(
        {"handcrafted": 1 / 7, "mixed": 5 / 7, "learned": 1 / 7}
    )
    assert found.loc["mixed", "cells"] == 80 and found["wins"].sum() == 80
    assert found.loc["mixed", "low"] < 5 / 7 < found.loc["mixed", "high"]
    assert found.loc["mixed", "share"] == pytest.approx(5 / 7, abs=0.1)


def test_cells_of_a_fold_and_seed_are_one_observation(make_ledger: Make) -> None:
    few, many = (wins_by_class(make_ledger(dims=dims)) for dims in ((16, 64), (8, 16, 32, 64)))
    assert few["clusters"].unique().tolist() == many["clusters"].unique().tolist() == [6]
    assert few[["low", "high"]].equals(many[["low", "high"]])
    assert many["cells"].iloc[0] == 2 * few["cells"].iloc[0]


def test_a_cell_that_lacks_a_mixing_has_its_own_chance(make_ledger: Make) -> None:
    ledger = make_ledger(mixings=("H", "0"), folds=2, dims=(16,), tasks=("phonons",))
    ledger = ledger[(ledger["mixing"] == "0") | (ledger["fold"] == 0)]
    found = wins_by_class(ledger).set_index(["backbone", "class"])
    assert found.loc[("cgcnn", "handcrafted"), "chance"] == pytest.approx(1 / 4)


def test_chance_of_a_mixing_is_its_share_of_the_configurations(make_ledger: Make) -> None:
    """Where a mixing has several settings, it wins more often by chance."""
    ledger = make_ledger(mixings=("H", "0"), folds=2, dims=(16,), tasks=("phonons",))
    again = ledger[ledger["mixing"] == "0"]
    twice = pd.concat([ledger, again.assign(setting="element_init zero")])
    assert chance_of_mixings(twice).to_dict() == pytest.approx({"H": 1 / 3, "0": 2 / 3})


def sized(ledger: pd.DataFrame) -> pd.DataFrame:
    return ledger.assign(n_train=60, n_val=20, n_test=20)


def test_a_mixing_is_compared_with_h_on_the_same_folds(make_ledger: Make) -> None:
    """Of two dimensions the mean, so that folds are the pairs."""
    random = np.random.default_rng(0)
    ledger = sized(make_ledger(tasks=("phonons",), backbones=("cgcnn",), mixings=("H", "0", "L")))
    ledger["test_error"] += random.normal(size=len(ledger))
    found = from_handcrafted(ledger).set_index("mixing")
    assert found.index.tolist() == ["0", "L"]
    errors = ledger.pivot_table(index=["fold", "dim"], columns="mixing", values="test_error")
    apart = (errors["0"] - errors["H"]).groupby("fold").mean()
    known = paired(apart.to_numpy(), 0.25)
    row = found.loc["0"]
    assert (row["difference"], row["low"], row["high"]) == pytest.approx(
        (known.mean, known.low, known.high)
    )
    assert row["folds"] == 3 and row["relative"] == pytest.approx(known.mean / errors["H"].mean())
    assert row["p"] >= known.p, "Holm's"
    assert row["detectable"] > known.high - known.mean


def test_h_is_the_reference_of_every_setting_that_it_has_no_part_in(make_ledger: Make) -> None:
    """H has no start of learned vectors, and its own rate."""
    parts = [
        sized(make_ledger(tasks=("phonons",), backbones=("cgcnn",), mixings=mixings)).assign(
            setting=", ".join([*own, f"lr {rate}"])
        )
        for rate in ("0.1", "0.2")
        for mixings, own in ((("H",), ()), (("0",), ("element_init zero",)), (("L",), ("init x",)))
    ]
    ledger = pd.concat(parts, ignore_index=True)
    ledger["test_error"] += np.random.default_rng(1).normal(size=len(ledger))
    found = from_handcrafted(ledger).set_index(["mixing", "setting"])
    assert len(found) == 4
    own = ledger[ledger["setting"].str.endswith("lr 0.2")].groupby("mixing")["test_error"].mean()
    row = found.loc[("0", "element_init zero, lr 0.2")]
    assert row["difference"] == pytest.approx(own["0"] - own["H"])


def test_without_h_nothing_is_compared(make_ledger: Make) -> None:
    assert from_handcrafted(sized(make_ledger(mixings=("0", "L")))).empty
    assert from_handcrafted(sized(make_ledger(mixings=("H",)))).empty
