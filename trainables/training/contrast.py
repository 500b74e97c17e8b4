"""The contrastive model, and the regression of its crystal encoder, as arrays. Needs no Ray.

Legend: K models, B materials, N materials of a batch, L points, D dimensions.

Members of an ensemble differ in their initial weights alone, and get the same batches. Of several
workers each computes its share of every batch; the loss is that of the whole batch, in which each
sees the embeddings of all (`contrast_loss.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from trainables.crystals.split import Split
from trainables.models.contrastive import ContrastiveStack, WorkFunctionStack
from trainables.models.gathering import ALONE, Group
from trainables.models.layers import Generators
from trainables.representations.batches import DeviceColumns
from trainables.representations.pairs import Pairs, pair_split, profile_column
from trainables.training.array import ArrayTraining, Member, Trained
from trainables.training.contrast_models import embeddings, work_functions
from trainables.training.contrast_problems import ContrastProblem, WorkFunctionProblem
from trainables.training.contrast_spec import ContrastMembers, ContrastSpec
from trainables.training.fitted import FittedArray
from trainables.training.outcome import Outcome, not_evaluated
from trainables.training.rebuilding import dtype_of

FEWEST = 2  # materials that learn, for each worker


class TooFewMaterials(ValueError):
    """There are not enough materials to learn from; one line."""


def demand_enough(split: Split, workers: int) -> None:
    """Refuses a split from which nothing could be learned.

    Raises:
        TooFewMaterials: a part is empty, or fewer learn than two a worker.
    """
    needed = FEWEST * workers
    if len(split.train) < needed:
        raise TooFewMaterials(
            f"{len(split.train)} materials to learn from, and {workers} workers need {needed}; give"
            " more materials, or fewer workers"
        )
    for name, part in (("validate", split.validation), ("test", split.test)):
        if not len(part):
            raise TooFewMaterials(f"no material to {name}; give more materials")


class ContrastFit(FittedArray):
    """An ensemble in training.

    Args:
        spec: the members.
        pairs: featurised for them.
        device: "cpu" or "cuda".
        group: the workers that train it together.

    Raises:
        TooFewMaterials: see `demand_enough`.
    """

    def __init__(
        self, spec: ContrastMembers, pairs: Pairs, device: str = "cpu", group: Group = ALONE
    ) -> None:
        first = spec.first
        self.spec, self.pairs = spec, pairs
        self.split = pair_split(pairs, first.rule, first.split_seed, first.size)
        demand_enough(self.split, group.size)
        dtype = dtype_of(first.precision)
        known = profile_column(first.grid.points)
        graphs, profiles = pairs.data.graphs, pairs.data.target
        self.data = DeviceColumns.load(graphs, profiles, device, dtype, known)
        _, order = np.random.SeedSequence([first.seed, first.fold]).generate_state(2)
        given = self.data, self.split, first.recipe
        problem: ContrastProblem | WorkFunctionProblem
        if first.learns == "pairs":
            problem = ContrastProblem(*given, mask=first.mask, order_seed=int(order), group=group)
        else:
            work = torch.from_numpy(pairs.work_function).to(device, dtype)
            problem = WorkFunctionProblem(*given, work=work, order_seed=int(order), group=group)
        self.problem = problem
        members = [
            Member(key=one.key, label=label, seed=_initial(one))
            for label, one in spec.models.items()
        ]
        self.training = ArrayTraining(members, self._build, problem, first.recipe, group)

    def _build(self, generators: Generators, members: Sequence[Member]) -> nn.Module:
        first, train = self.spec.first, self.split.train
        pairs = first.learns == "pairs"
        learned = (self.pairs.data.target if pairs else self.pairs.work_function)[train]
        # a constant needs no scale
        mean, scale = float(learned.mean()), float(learned.std()) or 1.0
        stack = ContrastiveStack if pairs else WorkFunctionStack
        return stack(generators, first.options, mean=mean, scale=scale)

    def _evaluate(self, trained: Trained) -> Outcome:
        """The only use of the test part."""
        outcome = not_evaluated(trained, self.split)
        if outcome.history.diverged:
            return outcome
        error = partial(self.problem.error, trained.model)
        parts = (("val", self.split.validation), ("test", self.split.test))
        metrics = {f"{name}_error": float(error(rows)[0]) for name, rows in parts}
        arrays = dict(outcome.arrays)
        if isinstance(self.problem, ContrastProblem):
            metrics["duplicates"] = self.problem.duplicates
            scale = cast(ContrastiveStack, trained.model).log_scale.detach().exp()
            metrics["temperature"] = 1 / float(scale[0])
            arrays |= embeddings(trained.model, self.data)
            untrained = embeddings(self._untrained(trained.history.member), self.data)
            arrays |= {f"untrained/{name}": values for name, values in untrained.items()}
        else:
            arrays["predictions/work_function"] = work_functions(trained.model, self.data)
        for name in ("train", "validation", "test"):
            arrays[f"split/{name}"] = getattr(self.split, name)
        arrays |= {
            f"weights/{name}": value[0].cpu().numpy()
            for name, value in trained.model.state_dict().items()
        }
        return replace(outcome, metrics=metrics, arrays=arrays)

    def _untrained(self, member: Member) -> nn.Module:
        """The model with its initial weights."""
        model = self._build([torch.Generator().manual_seed(member.seed)], [member])
        return model.to(self.problem.device, self.problem.dtype)


def _initial(spec: ContrastSpec) -> int:
    """Seed of a member's initial weights."""
    entropy = np.random.SeedSequence([spec.seed, spec.fold, spec.member])
    return int(entropy.generate_state(1)[0])


def fit_contrast(spec: Any, pairs: Any, device: str, group: Group = ALONE) -> ContrastFit:
    """Starts the training of an ensemble."""
    return ContrastFit(cast(ContrastMembers, spec), cast(Pairs, pairs), device, group)
