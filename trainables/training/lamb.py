"""LAMB (You et al. 2020, arXiv:1904.00962) with look-ahead (Zhang et al. 2019, arXiv:1907.08610).

As in the published CrabNet: moments are not debiased, the norm of the weights is capped at 10, and
every sixth step goes half of the way back to the weights of six steps before.

Legend: K models, whose weights are stacked along the leading axis; norms are per model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

LARGEST_NORM = 10.0


class Lamb(torch.optim.Optimizer):
    """The optimiser; `lr` is that of the parameter group.

    Args:
        every, back: after so many steps the weights become slow + back · (fast − slow).
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        every: int = 6,
        back: float = 0.5,
    ) -> None:
        # The number of steps is stored in the group, so that `state_dict` has it.
        super().__init__(parameters, {"lr": lr, "taken": 0})
        self.betas, self.eps, self.every, self.back = betas, eps, every, back

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Updates all weights that have a gradient."""
        assert closure is None
        for group in self.param_groups:
            group["taken"] += 1
            looks_back = group["taken"] % self.every == 0
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, group["lr"], looks_back)

    def _move(self, weight: nn.Parameter, rate: float, looks_back: bool) -> None:
        state = self.state[weight]
        if not state:
            state["mean"], state["square"] = torch.zeros_like(weight), torch.zeros_like(weight)
        state["mean"].lerp_(weight.grad, 1 - self.betas[0])
        state["square"].mul_(self.betas[1]).addcmul_(
            weight.grad, weight.grad, value=1 - self.betas[1]
        )
        direction = state["mean"] / state["square"].sqrt().add_(self.eps)
        size, length = _norms(weight).clamp(max=LARGEST_NORM), _norms(direction)
        trust = torch.where((size > 0) & (length > 0), size / length, 1.0)
        weight.sub_(direction.mul_(trust.mul_(rate)))
        # When the slow weights are first made, they equal the fast ones.
        if looks_back:
            slow = state.setdefault("slow", weight.detach().clone())
            weight.copy_(slow.lerp_(weight, self.back))


def _norms(stacked: Tensor) -> Tensor:
    """[K, 1, …] Euclidean norm of each model's tensor."""
    return torch.linalg.vector_norm(stacked, dim=tuple(range(1, stacked.dim())), keepdim=True)
