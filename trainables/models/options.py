"""The options of the networks and their defaults; cheap to import, as planning needs no torch.

The key of a model leaves out options at their defaults: to change a default, also raise the version
of the training code (`TRAINING_VERSION`, `TRANSFER_VERSION`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """A network without options."""

    def at(self, dim: int) -> Self:
        """The same options as keys have them, given the dimension of the embedding.

        Of two ways to write one network it is the one with fewer fields that differ from their
        defaults.
        """
        return self

    def node_width(self, dim: int) -> int:
        """Width of the node features, given the dimension of the embedding."""
        return dim


@dataclass(frozen=True, kw_only=True)
class CGCNNOptions(NetworkOptions):
    """Options of CGCNN.

    Attributes:
        conv_width: node width A of the convolutions; None for the dimension of the embedding.
        layers: number of convolutions.
        pooled: width D of a crystal's vector after pooling.
    """

    conv_width: int | None = None
    layers: int = 3
    pooled: int = 128

    def at(self, dim: int) -> Self:
        """A width equal to the embedding's dimension is left unset."""
        return replace(self, conv_width=None) if self.conv_width == dim else self

    def node_width(self, dim: int) -> int:
        """Width of the node features, A."""
        return self.conv_width or dim


@dataclass(frozen=True, kw_only=True)
class MEGNetOptions(NetworkOptions):
    """Options of MEGNet.

    Attributes:
        blocks: number of updates of bonds, atoms and state.
    """

    blocks: int = 3


@dataclass(frozen=True, kw_only=True)
class SchNetOptions(NetworkOptions):
    """Options of SchNet.

    Attributes:
        width: A, of node features and filters.
        layers: number of interactions.
        gaussians: G, evenly spaced from 0 Å to the cutoff.
    """

    width: int = 32
    layers: int = 3
    gaussians: int = 20

    def node_width(self, dim: int) -> int:
        """Width of the node features, A."""
        return self.width


@dataclass(frozen=True, kw_only=True)
class COGNOptions(NetworkOptions):
    """Options of coGN.

    Attributes:
        width: A, of node and edge features.
        layers: number of updates of edges and atoms.
        depth: layers of a message.
    """

    width: int = 64
    layers: int = 4
    depth: int = 2

    def node_width(self, dim: int) -> int:
        """Width of the node features, A."""
        return self.width


@dataclass(frozen=True, kw_only=True)
class TensorOptions(NetworkOptions):
    """Options of the equivariant network.

    Attributes:
        width: A, channels of each order.
        l_max: highest order of its features, 0 to 3.
        layers: convolutions.
        invariant_layers: how many of these, the first ones, are invariant.
        hidden: H, features of an edge.
        basis: radial functions.
        ends: whether an edge knows what its ends know that is invariant; else its length alone.
        heads: of an attention over the neighbours, which divide the width; 0 for their mean.
    """

    width: int = 32
    l_max: int = 2
    layers: int = 3
    invariant_layers: int = 0
    hidden: int = 64
    basis: int = 12
    ends: bool = True
    heads: int = 0

    def __post_init__(self) -> None:
        """Refuses what no network can be made of.

        Raises:
            ValueError: orders, layers or heads do not fit.
        """
        if not 0 <= self.l_max <= 3:
            raise ValueError(f"l_max {self.l_max}: orders are 0 to 3")
        if not 0 <= self.invariant_layers < self.layers:
            raise ValueError(
                f"invariant_layers {self.invariant_layers}: must be fewer than all layers,"
                f" {self.layers}"
            )
        if self.heads and self.width % self.heads:
            raise ValueError(f"heads {self.heads}: must divide the width, {self.width}")

    def node_width(self, dim: int) -> int:
        """Width of the node features, A."""
        return self.width


@dataclass(frozen=True, kw_only=True)
class CrabNetOptions(NetworkOptions):
    """Options of CrabNet; defaults as published.

    Attributes:
        width: D.
        layers, heads: of the encoder.
        hidden: width of its dense layers.
        head_widths: of the residual network after it.
    """

    width: int = 512
    layers: int = 3
    heads: int = 4
    hidden: int = 2048
    head_widths: tuple[int, ...] = (1024, 512, 256, 128)


@dataclass(frozen=True, kw_only=True)
class ContrastOptions(NetworkOptions):
    """Options of the two encoders; the defaults are as published.

    Attributes:
        elements: width of the element vectors and of the gated convolutions.
        gaussians: radial functions, evenly spaced from 0 Å to the cutoff.
        convolutions: number of gated convolutions.
        mean: whether they take means over the neighbours; else sums, of a hundred or so.
        width: of the transformer.
        blocks, heads, hidden: its layers, its heads, and the width of their dense layers.
        channels: scalars, and as many vectors, of the equivariant layer.
        filters: channels of the first stage of the ResNet; each of the others has twice as many as
            the one before.
        dim: D, of both embeddings.
    """

    elements: int = 64
    gaussians: int = 12
    convolutions: int = 2
    mean: bool = False
    width: int = 384
    blocks: int = 2
    heads: int = 4
    hidden: int = 1536
    channels: int = 160
    filters: int = 64
    dim: int = 384

    def __post_init__(self) -> None:
        """Refuses what no network can be made of.

        Raises:
            ValueError: heads that do not divide the width.
        """
        if self.width % self.heads:
            raise ValueError(f"heads {self.heads}: must divide the width, {self.width}")
