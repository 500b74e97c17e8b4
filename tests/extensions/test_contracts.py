"""What other packages add fulfils the contracts that ship with elemgrid."""

from tests.extensions import cgconv, equivariant
from trainables.testing.backbones import BackboneContract
from trainables.testing.representations import RepresentationContract


class TestCGConv(BackboneContract):
    spec = cgconv.SPEC
    exact_on_quotients = False  # its batch norms count nodes, not atoms


class TestEquivariant(BackboneContract):
    spec = equivariant.SPEC


class TestDenseGraphs(RepresentationContract):
    representation = equivariant.SPEC.representation
