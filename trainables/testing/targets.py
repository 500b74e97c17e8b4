"""The contract of a kind of target.

Legend: K models, B crystals, S sites, … the shape of one value.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pytest
import torch

from trainables.targets.base import Kind

MODELS = 3


class TargetContract:
    """What every kind of target has to fulfil; a subclass names one, and values of it.

    Attributes:
        kind: of the target.
        true: values [B, …], or [S, …] per site; NaN where an entry is missing.
    """

    kind: ClassVar[Kind]
    true: ClassVar[np.ndarray]

    @pytest.fixture(autouse=True)
    def _no_warnings(self) -> Iterator[None]:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield

    @property
    def outputs(self) -> torch.Tensor:
        """[K, B, …] outputs of networks that know nothing."""
        drawn = np.random.default_rng(7).normal(size=(MODELS, *self.true.shape))
        return torch.from_numpy(drawn)

    @property
    def standard(self) -> torch.Tensor:
        """Standardised values."""
        return torch.from_numpy(self.kind.scaler(self.true).standardise(self.true))

    @pytest.mark.parametrize("form", ["l1", "mse"])
    def test_a_loss_is_that_of_each_model_alone(self, form: str) -> None:
        together = self.kind.loss(self.outputs, self.standard, form)
        assert together.shape == (MODELS,) and together.isfinite().all()
        for k in range(MODELS):
            alone = self.kind.loss(self.outputs[k : k + 1], self.standard, form)
            assert torch.equal(alone, together[k : k + 1])

    def test_a_model_learns_from_its_own_rows_alone(self) -> None:
        """Rows of weight 0 change nothing, and the others have the mean loss of them alone."""
        outputs = self.outputs.requires_grad_()
        own = torch.arange(outputs.shape[1]) % MODELS != torch.arange(MODELS)[:, None]
        true = self.standard.expand_as(outputs)
        together = self.kind.loss(outputs, true, "l1", own.to(outputs.dtype))
        together.sum().backward()
        assert outputs.grad is not None and not outputs.grad[~own].any()
        for k, rows in enumerate(own):
            alone = self.kind.loss(outputs[k : k + 1, rows], self.standard[rows], "l1")
            torch.testing.assert_close(together[k : k + 1], alone, rtol=1e-12, atol=0)

    def test_a_missing_entry_teaches_nothing(self) -> None:
        outputs = self.outputs.requires_grad_()
        self.kind.loss(outputs, self.standard, "l1").sum().backward()
        assert outputs.grad is not None and outputs.grad.isfinite().all()
        there = torch.from_numpy(np.isfinite(self.true)).expand_as(outputs)
        assert not outputs.grad[~there].any() and outputs.grad[there].all()

    def test_the_error_on_the_device_is_the_metric_of_the_values(self) -> None:
        """Early stopping and the ledger speak of the same number."""
        scaler = self.kind.scaler(self.true)
        errors = self.kind.errors(self.outputs, self.standard, scaler)
        for k, output in enumerate(self.outputs.numpy()):
            scores = self.kind.metrics(self.kind.value(output, scaler), self.true, scaler)
            assert float(errors[k]) == pytest.approx(scores[self.kind.metric], rel=1e-10)

    def test_the_trivial_prediction_has_the_shape_of_a_value(self) -> None:
        trivial = self.kind.trivial(self.true)
        assert trivial.shape == self.true.shape[1:] and np.isfinite(trivial).all()
        whole = np.broadcast_to(trivial, self.true.shape)
        scores = self.kind.metrics(whole, self.true, self.kind.scaler(self.true))
        assert 0 < scores[self.kind.metric] < np.inf

    def test_the_shape_is_that_of_the_target(self) -> None:
        assert self.true.shape[1:] == self.kind.target.shape


class RegressionContract(TargetContract):
    """What kinds have to fulfil whose outputs are standardised values."""

    def test_the_truth_has_no_error_and_comes_back(self) -> None:
        scaler, true = self.kind.scaler(self.true), self.standard
        assert float(self.kind.loss(true.nan_to_num()[None], true, "mse")) == 0
        value = self.kind.value(true.numpy(), scaler)
        np.testing.assert_allclose(value, self.true, rtol=1e-12)
        assert self.kind.metrics(value, self.true, scaler)[self.kind.metric] < 1e-12

    def test_standardised_targets_are_about_one(self) -> None:
        known = self.standard.numpy()
        assert np.nanmean(known) == pytest.approx(0, abs=1e-12)
        assert np.nanstd(known) == pytest.approx(1, rel=0.05)

    def test_targets_that_are_all_alike_standardise_to_zero(self) -> None:
        same = np.full_like(self.true, 0.1)
        assert np.abs(self.kind.scaler(same).standardise(same)).max() < 1e-15
