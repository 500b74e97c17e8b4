"""K modules of one architecture as one: a network written for one model, trained as an array.

Legend: K models, B crystals, N nodes, Z elements, D dimensions of the embedding, A node width.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.modules.dropout import _DropoutNd

from trainables.models.embedding import HybridEmbedding
from trainables.models.heads import CrystalHead, SiteHead
from trainables.models.layers import Generators
from trainables.representations.graph_batch import Batch


class Backbone(nn.Module):
    """A graph network of one model, in plain torch, PyTorch Geometric or e3nn; it has no axis K.

    It is called with the embedding's dimension, and its options by name. It draws its initial
    weights from torch's own generator, which is the member's while it is made. It need not inherit
    from this class.

    Where it is given quotient graphs, it computes the function of the full graph if it is invariant
    and weighs each sum over neighbours by `batch.count`; a mean over atoms is weighed by
    `batch.multiplicity`, as the heads do. A norm over nodes or edges knows no such weights: it
    stacks, but then its statistics are those of the quotient.

    Attributes:
        width: A of the last layer.
        crystal_head: class of the head of numbers of a crystal; that of SchNet, unless it is set.
    """

    width: int
    crystal_head: ClassVar[type[nn.Module]] = CrystalHead

    def forward(self, elements_zd: Tensor, batch: Any) -> list[Tensor]:
        """Node features [N, A] after each layer.

        Args:
            elements_zd: vectors of the elements, a row an atomic number.
            batch: what the backbone's representation gives: a `GraphBatch` of quotient graphs, a
                `FullBatch` of full ones.
        """
        raise NotImplementedError


class Stack(nn.Module):
    """K modules as one whose parameters and buffers carry the leading axis K.

    `torch.func.vmap` runs the module over that axis, so that what is written for one model costs
    little more for K. Buffers that the module changes, as running statistics, are changed of each
    member. A buffer that is not persistent is a constant, and shared.

    Args:
        make: makes one module.
        generators: one a model; they alone decide its initial weights.

    Raises:
        ValueError: a module with dropout, which no member of an array could repeat alone.
    """

    def __init__(self, make: Callable[[], nn.Module], generators: Generators) -> None:
        super().__init__()
        modules = [_drawn(make, generator) for generator in generators]
        _refuse_dropout(modules[0])
        states = [_state(module) for module in modules]
        stacked = {name: torch.stack([own[name].data for own in states]) for name in states[0]}
        self.module = modules[0]
        for name, value in _state(self.module).items():
            value.data = stacked[name]

    def forward(self, x: Any, *shared: Any) -> Any:
        """The module's output of each model, with a leading axis K.

        Args:
            x: [K, …], the first argument of each model.
            shared: further arguments, the same for all.
        """

        def one(state: dict[str, Tensor], x: Any) -> tuple[Any, dict[str, Tensor]]:
            output = functional_call(self.module, state, (x, *shared), tie_weights=False)
            return output, {name: state[name] for name in buffers}

        state = _state(self.module)
        buffers = [name for name, value in state.items() if not isinstance(value, nn.Parameter)]
        output, changed = vmap(one)(state, x)
        for name, value in changed.items():
            # not copied: the backward pass may still need what stood here
            state[name].data = value.detach()
        return output


def _drawn(make: Callable[[], nn.Module], generator: torch.Generator) -> nn.Module:
    """A module whose initial weights come from a generator, which moves on."""
    with torch.random.fork_rng(devices=[]), _generated_code():
        torch.set_rng_state(generator.get_state())
        module = make()
        generator.set_state(torch.get_rng_state())
    return module


@contextmanager
def _generated_code() -> Iterator[None]:
    """Removes the files in which PyTorch Geometric generates the code of a layer's class."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="elemgrid-") as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = before


def _state(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers, of a module that stands in two places by one name."""
    owners = {name for name, _ in module.named_modules()}
    found = module.state_dict(keep_vars=True)
    return {name: value for name, value in found.items() if name.rpartition(".")[0] in owners}


def _refuse_dropout(module: nn.Module) -> None:
    for name, part in module.named_modules():
        if isinstance(part, _DropoutNd) and part.p > 0:
            raise ValueError(
                f"{type(module).__name__}: {name} drops out at random, which a model in an array"
                " could not repeat alone; set p=0"
            )


class StackedNetwork(nn.Module):
    """[K, B] standardised predictions of K plain networks behind their hybrid embeddings.

    Args:
        backbone: makes the `Backbone` of one model, of the embedding's dimension and its options.
        generators: one a model; they alone decide the initial weights.
        embedding: vectors of the elements.
        outputs: numbers a crystal; None for one, without an axis of its own.
        per_site: one number a node instead.
        options: of the backbone, by name.
    """

    def __init__(
        self,
        backbone: Callable[..., nn.Module],
        generators: Generators,
        embedding: HybridEmbedding,
        *,
        outputs: int | None = None,
        per_site: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.backbone = Stack(lambda: backbone(embedding.dim, **options), generators)
        plain = self.backbone.module
        width = cast(Backbone, plain).width
        pooled = getattr(plain, "crystal_head", CrystalHead)
        self.head = Stack(
            lambda: SiteHead(width) if per_site else pooled(width, outputs), generators
        )

    def node_layers(self, batch: Batch) -> list[Tensor]:
        """Node features [K, N, A] after each layer."""
        layers: list[Tensor] = self.backbone(self.embedding(), batch)
        return layers

    def forward(self, batch: Batch) -> Tensor:
        """Standardised predictions, [K, B]; [K, B, outputs], or [K, N] per site."""
        predicted: Tensor = self.head(self.node_layers(batch)[-1], batch)
        return predicted
