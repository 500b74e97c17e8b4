"""Changes of a recipe on the command line of `benchmarks.recipes`."""

from __future__ import annotations

import pytest

from benchmarks.recipes import changed
from trainables.models.recipe import Recipe

RECIPE = Recipe(name="paper", optimiser="sgd", lr=0.01, schedule="step", milestones=(7,))


def test_each_value_is_of_its_fields_type() -> None:
    found = changed(RECIPE, ["milestones=100,200", "batch_size=64", "lr=1e-3", "loss=l1"])
    assert found.milestones == (100, 200) and found.rate(150) == pytest.approx(0.1)
    assert (found.batch_size, found.lr, found.loss) == (64, 1e-3, "l1")
    assert changed(RECIPE, ["milestones=100"]).milestones == (100,)
    assert changed(RECIPE, []) == RECIPE


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("milestone=100", "there are name, optimiser, lr"),
        ("milestones=soon", "valid integer"),
        ("batch_size=1.5", "valid integer"),
        ("optimiser=adamx", "'sgd', 'adam'"),
        ("lr", "valid number"),
    ],
)
def test_a_change_that_is_none_ends_in_one_line(change: str, told: str) -> None:
    with pytest.raises(SystemExit) as ended:
        changed(RECIPE, [change])
    (line,) = str(ended.value).splitlines()
    assert line.startswith(f"{change}: ") and told in line
