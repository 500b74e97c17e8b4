"""Quotient graphs: atoms that message passing cannot tell apart become one node.

Legend: B crystals, N atoms, E edges of the full graph.

Colour refinement (1-WL; Weisfeiler & Leman 1968, Nauchno-Tekh. Inf. 2 (9), 12) starts with the
atomic number and refines a node's class by the multiset of (distance, class of the neighbour) until
the classes are stable. The partition is then equitable: every atom of a class has the same number n
of neighbours of a given class at a given distance. So any invariant message-passing network gives
all atoms of a class one feature vector, and a network that weighs sums by n and means over atoms by
the class' size m computes the same function, with the same gradients, on the quotient.
"""

from __future__ import annotations

import numpy as np

from trainables.representations.graph import Graphs

NODE_BITS, DISTANCE_BITS, NUMBER_BITS, INDEX_BITS = 24, 14, 7, 16


def fits(nodes: int, largest: int, distance: int) -> bool:
    """Whether edges can be encoded in one integer key.

    Args:
        nodes: of all crystals.
        largest: nodes of the largest crystal.
        distance: the longest, in 1e-3 Å.
    """
    return not (nodes >> NODE_BITS or largest >> INDEX_BITS or distance >> DISTANCE_BITS)


def low(bits: int) -> int:
    """A mask of the lowest `bits` bits."""
    return (1 << bits) - 1


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def _mix(x: np.ndarray) -> np.ndarray:
    """splitmix64's finaliser (Steele et al. 2014, doi:10.1145/2660193.2660195), wrapping."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


def refine(graphs: Graphs) -> np.ndarray:
    """Stable colours of the nodes.

    Returns:
        [N] uint64; equal colours within a crystal mean equal classes. A colour depends on the
        crystal alone, neither on the order of its atoms nor on other crystals. The multiset of
        neighbours is hashed to 64 bits; two classes of one crystal collide with a probability of
        about 1e-19 per pair.
    """
    node_crystal = graphs.node_crystal
    base = graphs.node_ptr[:-1][graphs.edge_crystal]
    dst, src = graphs.dst + base, graphs.src + base
    distance = _mix(graphs.distance.astype(np.uint64) * _GOLDEN)
    colour = _mix(graphs.z.astype(np.uint64) + _GOLDEN)
    classes = _count_classes(node_crystal, colour, len(graphs))
    nodes, edges = np.arange(len(colour)), np.arange(len(dst))
    while len(nodes):
        edge_hash = _mix(colour[src[edges]] + distance[edges])
        running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(edge_hash, dtype=np.uint64)])
        first = np.searchsorted(dst[edges], nodes, side="left")
        last = np.searchsorted(dst[edges], nodes, side="right")
        colour[nodes] = _mix(colour[nodes] * _MIX_1 + (running[last] - running[first]))
        refined = _count_classes(node_crystal, colour, len(graphs))
        growing = refined > classes
        classes = refined
        nodes = nodes[growing[node_crystal[nodes]]]
        edges = edges[growing[node_crystal[dst[edges]]]]
    return colour


def _count_classes(node_crystal: np.ndarray, colour: np.ndarray, crystals: int) -> np.ndarray:
    order = np.lexsort((colour, node_crystal))
    crystal, sorted_colour = node_crystal[order], colour[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (crystal[1:] != crystal[:-1]) | (sorted_colour[1:] != sorted_colour[:-1])
    return np.bincount(crystal[new], minlength=crystals)


def quotient(graphs: Graphs) -> Graphs:
    """The quotient of each full graph by its stable colouring.

    Nodes are sorted by (Z, colour), edges by (dst, distance, src), so that the result is the same
    to the bit for any order of the atoms.

    Raises:
        ValueError: more than 2^24 classes, or 2^16 in one crystal, or an edge beyond 16.38 Å.
    """
    colour = refine(graphs)
    node_crystal = graphs.node_crystal
    order = np.lexsort((colour, graphs.z, node_crystal))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(node_crystal[order]) != 0) | (colour[order][1:] != colour[order][:-1])
    node_class = np.empty(len(order), dtype=np.int64)
    node_class[order] = np.cumsum(new) - 1
    representative = order[new]
    node_ptr = np.searchsorted(node_crystal[representative], np.arange(len(graphs) + 1))

    base = graphs.node_ptr[:-1][graphs.edge_crystal]
    dst, src = graphs.dst + base, graphs.src + base
    chosen = np.zeros(len(order), dtype=bool)
    chosen[representative] = True
    kept = chosen[dst]
    class_base = node_ptr[:-1][graphs.edge_crystal[kept]]
    dst_class, src_class = node_class[dst[kept]], node_class[src[kept]] - class_base
    distance = graphs.distance[kept].astype(np.int64)
    largest, longest = int(np.diff(node_ptr).max(initial=0)), int(distance.max(initial=0))
    if not fits(int(node_ptr[-1]), largest, longest):
        raise ValueError(
            f"{node_ptr[-1]} classes, {largest} in one crystal, edges of {longest} mÅ: at most"
            " 2^24, 2^16 and 16.38 Å can be sorted"
        )
    key = (dst_class << DISTANCE_BITS | distance) << INDEX_BITS | src_class
    key, count = np.unique(key, return_counts=True)
    src_class, key = key & low(INDEX_BITS), key >> INDEX_BITS
    dst_class, distance = key >> DISTANCE_BITS, key & low(DISTANCE_BITS)
    edge_ptr = np.searchsorted(dst_class, node_ptr)
    crystal = np.repeat(np.arange(len(graphs)), np.diff(edge_ptr))
    return Graphs(
        node_ptr=node_ptr,
        edge_ptr=edge_ptr,
        z=graphs.z[representative],
        multiplicity=np.bincount(node_class, graphs.multiplicity).astype(np.int32),
        dst=(dst_class - node_ptr[:-1][crystal]).astype(np.int32),
        src=src_class.astype(np.int32),
        distance=distance.astype(np.int32),
        count=count.astype(np.int32),
    )
