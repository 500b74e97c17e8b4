"""How many bits each part of an edge has in the one integer by which edges are sorted.

One integer an edge sorts many times faster than several keys.
"""

from __future__ import annotations

NODE_BITS, DISTANCE_BITS, NUMBER_BITS, INDEX_BITS = 24, 14, 7, 16


def fits(nodes: int, largest: int, distance: int) -> bool:
    """Whether edges can be told apart by such an integer.

    Args:
        nodes: of all crystals.
        largest: nodes of the largest crystal.
        distance: the longest, in 1e-3 Å.
    """
    return not (nodes >> NODE_BITS or largest >> INDEX_BITS or distance >> DISTANCE_BITS)


def low(bits: int) -> int:
    """So many ones, which cut the lowest part out of a key."""
    return (1 << bits) - 1
