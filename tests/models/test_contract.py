"""The built-in backbones fulfil the contract that those of other packages have to."""

from trainables.models.backbones import BACKBONES
from trainables.testing.backbones import BackboneContract


class TestCGCNN(BackboneContract):
    spec = BACKBONES["cgcnn"]


class TestMEGNet(BackboneContract):
    spec = BACKBONES["megnet"]


class TestSchNet(BackboneContract):
    spec = BACKBONES["schnet"]


class TestCOGN(BackboneContract):
    spec = BACKBONES["cogn"]


class TestTensor(BackboneContract):
    spec = BACKBONES["tensor"]
    tolerance = 1e-9  # symmetrised crystals differ in their last digits


class TestSchNetOfAllAtoms(BackboneContract):
    spec = BACKBONES["schnet_atoms"]


def test_each_built_in_one_is_tested() -> None:
    """A new entry of the list needs its class here."""
    tested = {
        kind.spec.name for kind in BackboneContract.__subclasses__() if kind.__module__ == __name__
    }
    assert tested == set(BACKBONES.data)
