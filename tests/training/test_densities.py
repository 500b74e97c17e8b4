"""Ensembles of densities of states: shares of a batch, parts held back, snapshots. No Ray."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from orchestrator.dos.entries import arrays_of
from orchestrator.dos.flags import parse
from tests.orchestrator.small_densities import read, write_densities
from trainables.models.recipe import PLATEAU_FACTOR, Recipe
from trainables.representations.densities import Densities
from trainables.training import density_models as recorded
from trainables.training.densities import DensityFit
from trainables.training.density_spec import DensitySpec, EnsembleSpec
from trainables.training.snapshot import SnapshotError


def made(folder: Path, *flags: str) -> tuple[EnsembleSpec, Densities]:
    """The ensemble of fold 0 on small data, in double precision."""
    path = write_densities(folder / "salts.parquet")
    common = ["--data", str(path), "--points", "50", "--width", "8", "--members", "4"]
    options = parse([*common, "--folds", "0", "--float64", *flags])
    given = read(options)
    (array,) = arrays_of(options, "salts", given.densities)
    return array.spec, given.densities


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[EnsembleSpec, Densities]:
    return made(tmp_path_factory.mktemp("tuned"), "--epochs", "25")


class Part:
    """One of several workers, whose sums are made by the test."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def add(self, values: torch.Tensor) -> None:
        """Leaves them."""


def gradients(fit: DensityFit) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss [K] of the first batch, and all its gradients."""
    training = fit.training
    batch = next(iter(training.problem.batches()))
    loss = training.problem.loss(training.model, batch)
    loss.sum().backward()
    found = [one.grad.flatten() for one in training.model.parameters() if one.grad is not None]
    return loss.detach(), torch.cat(found)


@pytest.mark.parametrize("workers", [2, 3, 40])
def test_shares_add_up_to_the_batch(tuned: tuple[EnsembleSpec, Densities], workers: int) -> None:
    """Also where there are more workers than crystals in a batch."""
    whole = gradients(DensityFit(*tuned))
    parts = [gradients(DensityFit(*tuned, group=Part(rank, workers))) for rank in range(workers)]
    for one, of_parts in zip(whole, zip(*parts, strict=True), strict=True):
        torch.testing.assert_close(torch.stack(of_parts).sum(dim=0), one, rtol=1e-9, atol=1e-12)


def test_validation_errors_of_shares_are_those_of_all(
    tuned: tuple[EnsembleSpec, Densities],
) -> None:
    sums: list[torch.Tensor] = []

    class Listening(Part):
        def add(self, values: torch.Tensor) -> None:
            sums.append(values.clone())

    fits = [DensityFit(*tuned, group=Listening(rank, 2)) for rank in range(2)]
    for fit in fits:
        fit.training.problem.errors(fit.training.model)
    total = sums[0] + sums[1]
    alone = DensityFit(*tuned)
    wanted = alone.training.problem.errors(alone.training.model)
    torch.testing.assert_close(total[0] / total[1], wanted, rtol=1e-9, atol=0)


def test_members_hold_back_each_crystal_once_and_none_is_tested(
    tuned: tuple[EnsembleSpec, Densities],
) -> None:
    fit = DensityFit(*tuned)
    splits = list(fit.splits.values())
    held = np.concatenate([one.validation for one in splits])
    assert np.array_equal(np.sort(held), splits[0].learned)
    for one in splits:
        assert not set(one.test) & set(one.learned)
        assert np.array_equal(one.test, splits[0].test)


def test_an_ensemble_learns_and_starts_from_the_mean(
    tuned: tuple[EnsembleSpec, Densities],
) -> None:
    fit = DensityFit(*tuned)
    started = fit.training.problem.errors(fit.training.model)
    outcomes = []
    while not fit.finished:
        outcomes += list(fit.advance())
    assert len(outcomes) == 4
    errors = torch.tensor([one.metrics["val_error"] for one in outcomes])
    assert (errors < started / 2).all()
    said = outcomes[0].arrays["predictions/test/value"]
    assert (said > 0).all() and said.shape == (len(fit.splits["member 0"].test), 50)


@pytest.mark.parametrize("recipe", ["tuned", "paper"])
def test_a_snapshot_is_gone_on_from_to_the_bit(tmp_path: Path, recipe: str) -> None:
    given = made(tmp_path, "--recipe", recipe, "--epochs", "3")
    whole, first, second = (DensityFit(*given) for _ in range(3))
    list(first.advance())
    second.load(first.save())
    curves = []
    for fit in (whole, second):
        last = []
        while not fit.finished:
            last = list(fit.advance())
        curves.append(last)
    for one, other in zip(*curves, strict=True):
        assert one.arrays.keys() == other.arrays.keys()
        for name, values in one.arrays.items():
            np.testing.assert_array_equal(values, other.arrays[name], err_msg=name)


@pytest.mark.parametrize("recipe", ["tuned", "paper"])
def test_a_recorded_model_says_again_what_its_record_says(tmp_path: Path, recipe: str) -> None:
    spec, densities = made(tmp_path, "--recipe", recipe, "--epochs", "1")
    fit = DensityFit(spec, densities)
    outcomes = [one for one in fit.advance() if one.arrays]
    test = densities.take(fit.splits["member 0"].test).data.graphs
    for outcome in outcomes:
        own = spec.models[outcome.history.member.label]
        said = recorded.densities(recorded.rebuilt(own, outcome.arrays), own, test)
        np.testing.assert_allclose(said, outcome.arrays["predictions/test/value"], atol=1e-12)
    assert len(outcomes) == 4


def test_a_snapshot_of_other_models_is_refused(
    tuned: tuple[EnsembleSpec, Densities],
) -> None:
    spec, densities = tuned
    models = {label: replace(one, seed=1) for label, one in spec.models.items()}
    content = DensityFit(EnsembleSpec(models=models), densities).save()
    with pytest.raises(SnapshotError, match="other models"):
        DensityFit(spec, densities).load(content)


def test_a_specification_survives_as_text(tuned: tuple[EnsembleSpec, Densities]) -> None:
    first = tuned[0].first
    again = DensitySpec.read(first.text)
    assert again == first and again.key == first.key
    assert replace(first, member=1).key != first.key


def test_a_plateau_slows_as_in_torch() -> None:
    recipe = Recipe(name="paper", optimiser="adam", lr=1.0, schedule="plateau")
    draw = np.random.default_rng(0)
    losses = (np.exp(-np.arange(400) / 8) + 0.1 + 0.01 * draw.random(400)).tolist()
    optimiser = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.7, patience=60)
    wanted = []
    for loss in losses:
        scheduler.step(loss)
        wanted.append(optimiser.param_groups[0]["lr"])
    found = [recipe.slowed(losses[: epoch + 1]) for epoch in range(len(losses))]
    assert found == pytest.approx(wanted)
    assert min(found) <= PLATEAU_FACTOR**2
