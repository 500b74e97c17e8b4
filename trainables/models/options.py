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
