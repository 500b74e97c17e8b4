"""What twice the data would bring, by the slope of a learning curve."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analysis.doubling import slope
from analysis.figures.doubling import learned_from


def curve(folds: int, power: float, noise: float = 0.0, sizes: tuple[int, ...] = (50, 100, 200)):
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "fold": fold,
            "size": size,
            "crystals": size,
            "error": 7 * size**-power * math.exp(noise * draw),
        }
        for fold in range(folds)
        for size, draw in zip(sizes, random.normal(size=len(sizes)), strict=True)
    )


@pytest.mark.parametrize("power", [0.0, 0.25, 0.5])
def test_a_power_law_is_found(power: float) -> None:
    found = slope(curve(5, power))
    assert found is not None
    assert [found.factor, found.low, found.high] == pytest.approx([2**-power] * 3)


def test_the_interval_is_over_folds_and_holds_the_truth() -> None:
    found = slope(curve(5, 0.4, noise=0.05))
    assert found is not None and found.low < found.factor < found.high
    assert found.low < 2**-0.4 < found.high
    (alone,) = [slope(curve(1, 0.4))]
    assert alone is not None and math.isinf(alone.high) and alone.low == 0


def test_a_curve_that_flattens_goes_on_as_it_ended() -> None:
    bent = curve(5, 0.5)
    bent.loc[bent["size"] == 50, "error"] *= 3
    found = slope(bent)
    assert found is not None and found.factor == pytest.approx(2**-0.5)


def test_one_size_has_no_slope() -> None:
    assert slope(curve(5, 0.4, sizes=(100,))) is None
    assert slope(curve(5, 0.4).assign(error=0.0)) is None
    assert slope(pd.DataFrame([])) is None


def test_the_figure_goes_on_to_twice_the_crystals() -> None:
    fig = learned_from(curve(5, 0.5), "MAE", "eV")
    *folds, mean, double = fig.data
    lacking = curve(5, 0.5).drop(index=1)  # fold 0 without the middle size
    assert list(learned_from(lacking, "MAE", "").data[-2].x) == [50, 100, 200]
    assert len(folds) == 5 and list(mean.x) == [50, 100, 200]
    assert list(double.x) == [200, 400]
    assert double.y[1] / double.y[0] == pytest.approx(2**-0.5)
    assert fig.layout.yaxis.title.text == "test MAE (eV)"
