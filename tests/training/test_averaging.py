"""Averages over the ends of cycles: who joins, who begins anew."""

from __future__ import annotations

import torch
from torch import nn

from trainables.training.averaging import CycleAverage, MovingAverage, NoAverage, WeightAverage


class Numbers(nn.Module):
    def __init__(self, *values: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(values)[:, None])

    def set(self, *values: float) -> None:
        self.value.data = torch.tensor(values)[:, None]


def averaged(average: CycleAverage) -> list[float]:
    return [round(float(value), 5) for value in average.model.value.detach()]  # type: ignore


def end_cycle(average: WeightAverage, model: Numbers, *errors: float) -> None:
    def errors_of(examined: nn.Module) -> torch.Tensor:
        assert examined is model, "what joins is chosen by its own error, not by the average's"
        return torch.tensor(errors)

    average.before_validation(model, errors_of)


def test_good_weights_join_bad_ones_do_not_and_much_better_ones_begin_anew() -> None:
    model = Numbers(1.0, 1.0, 1.0)
    average = CycleAverage(model)
    end_cycle(average, model, 10.0, 10.0, 10.0)
    assert averaged(average) == [1, 1, 1]
    model.set(2.0, 2.0, 2.0)
    # within a hundredth of the best; two hundredths better; neither
    end_cycle(average, model, 10.05, 9.7, 11.0)
    share = 2 ** (-1 / 3)
    assert averaged(average) == [round(1 + share, 5), 2, 1]
    average.select([0, 2])
    model.set(5.0, 5.0)
    end_cycle(average, Numbers(5.0, 5.0), 9.9, 9.0)
    third = 3 ** (-1 / 3)
    assert averaged(average) == [round((1 + share) * (1 - third) + 5 * third, 5), 5]


def test_an_error_that_is_no_number_joins_nothing() -> None:
    model = Numbers(1.0)
    average = CycleAverage(model)
    model.set(7.0)
    end_cycle(average, model, float("nan"))
    assert averaged(average) == [1]


def test_only_cycles_ask_how_good_the_weights_are() -> None:
    """An examination costs a pass over the validation part."""

    def refused(model: nn.Module) -> torch.Tensor:
        raise AssertionError("examined for nothing")

    model = Numbers(1.0, 2.0)
    for average in (NoAverage(model), MovingAverage(model, 0.9)):
        average.before_validation(model, refused)
        assert torch.equal(average.model.state_dict()["value"], model.value)
