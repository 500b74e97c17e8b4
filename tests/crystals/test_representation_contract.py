"""The built-in representations fulfil the contract that those of other packages have to."""

from trainables.models.backbones import BACKBONES
from trainables.representations.full_graph import FullGraph
from trainables.testing.representations import RepresentationContract


class TestQuotientsOfNearest(RepresentationContract):
    representation = BACKBONES["cgcnn"].representation


class TestQuotientsOfAll(RepresentationContract):
    representation = BACKBONES["megnet"].representation


class TestFullGraph(RepresentationContract):
    representation = FullGraph(name="full-r4", version=1, cutoff=4.0, max_neighbours=None)


class TestFullGraphWithLatticeEdges(RepresentationContract):
    representation = FullGraph(
        name="full-nn12", version=1, cutoff=8.0, max_neighbours=12, lattice_edges=True
    )
