"""The contrastive model in training: workers, members, snapshots, what it leaves. No Ray."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.small_pairs import RECIPE, small_pairs, small_spec
from tests.training.workers_for_tests import at_once, in_processes, threads
from trainables.models.gathering import ALONE, Group
from trainables.training.contrast import ContrastFit, TooFewMaterials
from trainables.training.contrast_spec import NETWORKS, ContrastSpec, members_of
from trainables.training.outcome import Outcome

BOTH = pytest.mark.parametrize("learns", ["pairs", "work_function"])


def trained(fit: ContrastFit) -> list[Outcome]:
    """All members, in their order."""
    found: list[Outcome] = []
    while not fit.finished:
        found += list(fit.advance())
    return found


def demand_same_bits(one: Outcome, other: Outcome) -> None:
    assert one.metrics == other.metrics and one.arrays.keys() == other.arrays.keys()
    for name, values in one.arrays.items():
        np.testing.assert_array_equal(values, other.arrays[name], err_msg=name)


def small_fit(group: Group, **more: object) -> ContrastFit:
    pairs = small_pairs()
    return ContrastFit(small_spec(pairs, **more), pairs, group=group)


def state_after(epochs: int, fit: ContrastFit) -> dict[str, torch.Tensor]:
    """Weights, running statistics and losses."""
    for _ in range(epochs):
        list(fit.advance())
    state = dict(fit.training.model.state_dict())
    state["losses"] = torch.tensor(fit.training.active[0].train_loss, dtype=torch.float64)
    return {name: value.clone() for name, value in state.items()}


def states(group: Group) -> dict[str, torch.Tensor]:
    """Of both kinds of models."""
    return {
        f"{learns}/{name}": value
        for learns in ("pairs", "work_function")
        for name, value in state_after(3, small_fit(group, learns=learns)).items()
    }


def write_states(group: Group, path: Path) -> None:
    save_file(states(group), path)


def demand_close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, values in one.items():
        torch.testing.assert_close(values, other[name], rtol=1e-6, atol=1e-6, msg=name)


def test_two_workers_take_the_steps_of_one(tmp_path: Path) -> None:
    """Batches of 10 and 11 materials, of which one worker has one more."""
    wanted = states(ALONE)
    for path in in_processes(write_states, 2, tmp_path):
        demand_close(load_file(path), wanted)


@pytest.mark.parametrize("mask", [None, 0.4])
def test_a_worker_without_a_material_changes_nothing(mask: float | None) -> None:
    """Of three workers, in batches of two."""
    recipe = replace(RECIPE, batch_size=2)
    given = {"recipe": recipe, "mask": mask, "size": 9}
    wanted = state_after(1, small_fit(ALONE, **given))
    fits = [small_fit(group, **given) for group in threads(3)]
    for found in at_once(partial(state_after, 1), fits):
        demand_close(found, wanted)


@BOTH
def test_a_snapshot_is_gone_on_from_to_the_bit(learns: str) -> None:
    pairs = small_pairs()
    spec = small_spec(pairs, 2, learns=learns)
    whole, first, second = (ContrastFit(spec, pairs) for _ in range(3))
    list(first.advance())
    second.load(first.save())
    for one, other in zip(trained(whole), trained(second), strict=True):
        demand_same_bits(one, other)


def test_members_are_what_they_are_alone() -> None:
    """The same run again has the same bits, and the other member changes nothing but rounding."""
    pairs = small_pairs()
    spec = small_spec(pairs, 2)
    together = trained(ContrastFit(spec, pairs))
    alone, again = (trained(ContrastFit(spec.only(["member 1"]), pairs)) for _ in range(2))
    demand_same_bits(alone[0], again[0])
    for name, values in alone[0].arrays.items():
        np.testing.assert_allclose(together[1].arrays[name], values, atol=1e-9, err_msg=name)
    crystal = "embeddings/crystal"
    assert np.abs(together[0].arrays[crystal] - alone[0].arrays[crystal]).max() > 0.1


def test_what_a_contrastive_model_leaves() -> None:
    pairs = small_pairs()
    fit = ContrastFit(small_spec(pairs), pairs)
    started = {name: value.clone() for name, value in fit.training.model.state_dict().items()}
    (outcome,) = trained(fit)
    arrays, dim = outcome.arrays, fit.spec.first.options.dim
    for name in ("embeddings/crystal", "embeddings/profile"):
        for values in (arrays[name], arrays[f"untrained/{name}"]):
            assert values.shape == (len(pairs), dim)
            assert np.linalg.norm(values, axis=1) == pytest.approx(1)
    assert arrays["features/crystal"].shape == (len(pairs), dim)
    parts = [arrays[f"split/{name}"] for name in ("train", "validation", "test")]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(pairs)))
    assert outcome.metrics.keys() == {"val_error", "test_error", "duplicates", "temperature"}
    assert outcome.metrics["val_error"] == pytest.approx(outcome.history.best_error)
    model = fit._untrained(outcome.history.member)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, started[name], rtol=0, atol=0)


@BOTH
def test_it_learns(learns: str) -> None:
    pairs = small_pairs()
    spec = small_spec(pairs, recipe=replace(RECIPE, epochs=30), learns=learns)
    (outcome,) = trained(ContrastFit(spec, pairs))
    losses = outcome.history.train_loss
    assert losses[-1] < 2 / 3 * losses[0]
    if learns == "work_function":
        apart = np.abs(outcome.arrays["predictions/work_function"] - pairs.work_function)
        found = apart[outcome.arrays["split/test"]].mean()
        assert outcome.metrics["test_error"] == pytest.approx(found)


def test_equal_profiles_are_counted() -> None:
    pairs = small_pairs()
    profiles = np.tile(pairs.data.target[:1], (len(pairs), 1))
    profiles[::2] = profiles[::2, ::-1]  # the other side up
    same = replace(pairs, data=replace(pairs.data, target=profiles))
    recipe = replace(RECIPE, epochs=1)
    (outcome,) = trained(ContrastFit(small_spec(same, recipe=recipe, mask=0.1), same))
    assert outcome.metrics["duplicates"] == 1
    # none is wrong, and so nothing is lost
    assert outcome.history.train_loss == pytest.approx([0])


def test_too_few_materials_are_refused() -> None:
    pairs = small_pairs()
    with pytest.raises(TooFewMaterials, match="5 materials to learn from, and 3 workers need 6"):
        small_fit(threads(3)[0], size=5)
    few = pairs.take(np.array([1, 2, 3]))
    with pytest.raises(TooFewMaterials, match="no material to validate; give more materials"):
        ContrastFit(small_spec(few, rule="random"), few)


def test_a_specification_survives_as_text() -> None:
    first = small_spec(small_pairs(), mask=0.2, size=30, learns="work_function").first
    again = ContrastSpec.read(first.text)
    assert again == first and again.key == first.key
    assert len({one.key for one in members_of(first, 3).values()}) == 3


def test_the_recipe_of_the_paper_is_as_published() -> None:
    """The rate is highest at the first step, and 0 after the last."""
    paper = NETWORKS["paper"].recipe
    assert paper.rate(0) == 1 and paper.rate(paper.epochs) == pytest.approx(0)
    assert (paper.batch_size, paper.lr, paper.beta2, paper.epochs) == (64, 1e-4, 0.95, 1000)


# Losses of two epochs, validation errors, error on the test part.
GOLDEN = {
    "pairs": [3.093703, 2.772912, 2.457181, 2.440239, 1.887047],
    "work_function": [0.7933992, 0.7926975, 0.6268413, 0.6282513, 0.4470807],
}


@BOTH
def test_trained_numbers_do_not_move(learns: str) -> None:
    """If that is meant, raise CONTRAST_VERSION, and enter the new ones."""
    pairs = small_pairs()
    spec = small_spec(pairs, recipe=replace(RECIPE, epochs=2), learns=learns)
    (outcome,) = trained(ContrastFit(spec, pairs))
    history = outcome.history
    found = [*history.train_loss, *history.val_error, outcome.metrics["test_error"]]
    assert found == pytest.approx(GOLDEN[learns], rel=1e-5)
