"""The options of the networks, with their defaults; light, since a plan of a grid needs no torch.

A key of a model leaves options at their defaults out: whoever changes a default raises the version
of the training code too (`TRAINING_VERSION`, `TRANSFER_VERSION`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """A network without options."""

    def node_width(self, dim: int) -> int:
        """Width of the node features, given the dimension of the embedding."""
        return dim


@dataclass(frozen=True, kw_only=True)
class CGCNNOptions(NetworkOptions):
    """Options of CGCNN.

    Attributes:
        conv_width: node width A of the convolutions; the dimension of the embedding where None.
        layers: convolutions.
        pooled: width D of a crystal's vector after pooling.
    """

    conv_width: int | None = None
    layers: int = 3
    pooled: int = 128

    def node_width(self, dim: int) -> int:
        """A."""
        return self.conv_width or dim


@dataclass(frozen=True, kw_only=True)
class MEGNetOptions(NetworkOptions):
    """Options of MEGNet.

    Attributes:
        blocks: updates of bonds, atoms and state.
    """

    blocks: int = 3


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
