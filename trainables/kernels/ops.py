"""Operations of a message-passing step, fused on the CPU and plain elsewhere.

Each operation is defined in torch, which runs on a GPU, in double precision and without a
compiler. Single-precision tensors on the CPU use the kernels of `kernels.cpp`, which agree with it
to rounding and store nothing of size E·F (edges times features) that they can recompute.

Tensors are named with the letters of their axes; each file has a legend.
"""

from trainables.kernels.attention import attention_pool
from trainables.kernels.bonds import BondLayers, update_bonds
from trainables.kernels.calling import fused, plain
from trainables.kernels.filtered import FilteredEdges, filtered_sum
from trainables.kernels.framed import FramedEdges, couplings, framed_sum
from trainables.kernels.gated import gated_messages, normed_gated_messages
from trainables.kernels.rows import gather, scatter_sum
from trainables.kernels.softplus import softplus

__all__ = [
    "BondLayers",
    "FilteredEdges",
    "FramedEdges",
    "attention_pool",
    "couplings",
    "filtered_sum",
    "framed_sum",
    "fused",
    "gated_messages",
    "gather",
    "normed_gated_messages",
    "plain",
    "scatter_sum",
    "softplus",
    "update_bonds",
]
