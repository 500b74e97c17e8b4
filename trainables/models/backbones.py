"""The backbones: names, classes, graphs, recipes and costs, all listed in this file.

Cheap to import, as planning a grid or parsing its command line needs no torch: the module of a
network is imported when its first model is made. Other packages register theirs by an entry point
of the group `elemgrid.backbones`: its name is that of the backbone, its object a `BackboneSpec`.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from trainables.models import cutoffs
from trainables.models.options import (
    CGCNNOptions,
    COGNOptions,
    MEGNetOptions,
    NetworkOptions,
    SchNetOptions,
    TensorOptions,
)
from trainables.models.recipe import Recipe, RecipeName
from trainables.representations.graph import FEATURISER_VERSION, CrystalGraph
from trainables.representations.orbit_graph import OrbitGraph
from trainables.representations.quotient_graph import AtomGraph, QuotientGraph


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """One kind of network.

    Attributes:
        name: on the command line, in ledgers and in keys of models.
        title: for printing.
        model: "module:class" of the network; `load` documents the interface of the class.
        stacking: "native" if the class is a stack of K models; "vmap" if it is a plain module of
            one model, a `trainables.models.stacking.Backbone`, which `torch.func` stacks and whose
            head is that of the target.
        representation: of a crystal, which the network sees.
        oriented: whether the class has features with directions too, for tensors: a plain one on
            orbit graphs, see `trainables.models.stacking.Oriented`.
        recipes: how it is optimised, by name of the recipe.
        edge_cost: (a, b) of the work a + b·width for an edge in an epoch, as measured on one core;
            only ratios between backbones matter.
        options: class of its options, whose fields have defaults.
        reference: its publication, in BibTeX.
        version: of another package's network, raised when trained models differ in more than
            rounding; the built-in ones have `TRAINING_VERSION`.
    """

    name: str
    title: str
    model: str
    stacking: Literal["native", "vmap"] = "native"
    representation: CrystalGraph
    oriented: bool = False
    recipes: Mapping[RecipeName, Recipe]
    edge_cost: tuple[float, float]
    options: type[NetworkOptions] = NetworkOptions
    reference: str
    version: int = 1

    def load(self) -> Any:
        """A factory of the stacked network: its class, or `StackedNetwork` of a plain one.

        Called with generators [K] and the `HybridEmbedding` of the K models, and with the fields of
        `options` by name, it makes a `torch.nn.Module` that maps a batch to predictions [K, B];
        with `outputs=L`, for targets of several numbers, to [K, B, L]; a plain one with
        `per_site=True` to [K, N], where the representation keeps the atoms; an oriented one with
        the `form` of a tensor to its components, [K, B, C]. The network has the `embedding` and
        `node_layers(batch)`, its node features [K, N, A] after each layer.
        """
        if self.stacking == "native":
            return self.network()
        stacking = import_module("trainables.models.stacking")
        return partial(stacking.StackedNetwork, self.network())

    def network(self) -> Any:
        """The class that `model` names."""
        module, _, name = self.model.partition(":")
        return getattr(import_module(module), name)


# Selected on validation parts only; docs/results.md has the comparison.
_TUNED = Recipe(
    name="tuned",
    optimiser="adamw",
    lr=3e-3,
    weight_decay=0.1,
    loss="l1",
    schedule="cosine",
    averaging=0.99,
    epochs=400,
    batch_size=32,
)

# Recipe "paper": thesis, section 3.2.2 (CGCNN: SGD and a milestone; MEGNet: Adam).
_CGCNN = BackboneSpec(
    name="cgcnn",
    title="CGCNN",
    model="trainables.models.cgcnn:CGCNN",
    representation=QuotientGraph(
        name="nn12-r8", version=FEATURISER_VERSION, cutoff=cutoffs.CGCNN, max_neighbours=12
    ),
    recipes={
        "paper": Recipe(name="paper", optimiser="sgd", lr=0.01, schedule="step", milestones=(100,)),
        "tuned": _TUNED,
    },
    edge_cost=(4.0, 0.25),
    options=CGCNNOptions,
    reference="@article{Xie2018, title={Crystal Graph Convolutional Neural Networks for an Accurate"
    " and Interpretable Prediction of Material Properties}, author={Xie, Tian and Grossman, Jeffrey"
    " C.}, journal={Physical Review Letters}, volume={120}, pages={145301}, year={2018},"
    " doi={10.1103/PhysRevLett.120.145301}}",
)
_MEGNET = BackboneSpec(
    name="megnet",
    title="MEGNet",
    model="trainables.models.megnet:MEGNet",
    representation=QuotientGraph(
        name="all-r4", version=FEATURISER_VERSION, cutoff=cutoffs.MEGNET, max_neighbours=None
    ),
    recipes={
        "paper": Recipe(name="paper", optimiser="adam", lr=1e-3),
        "tuned": replace(_TUNED, lr=2e-3, epochs=300),
    },
    edge_cost=(30.0, 0.02),
    options=MEGNetOptions,
    reference="@article{Chen2019, title={Graph Networks as a Universal Machine Learning Framework"
    " for Molecules and Crystals}, author={Chen, Chi and Ye, Weike and Zuo, Yunxing and Zheng, Chen"
    " and Ong, Shyue Ping}, journal={Chemistry of Materials}, volume={31}, pages={3564--3572},"
    " year={2019}, doi={10.1021/acs.chemmater.9b01294}}",
)
_SCHNET = BackboneSpec(
    name="schnet",
    title="SchNet",
    model="trainables.models.schnet:SchNet",
    stacking="vmap",
    representation=QuotientGraph(
        name="all-r5", version=FEATURISER_VERSION, cutoff=cutoffs.SCHNET, max_neighbours=None
    ),
    recipes={
        "paper": Recipe(name="paper", optimiser="adam", lr=1e-3, batch_size=32),
        "tuned": replace(_TUNED, lr=6e-3, epochs=200),
    },
    edge_cost=(7.0, 0.0),
    options=SchNetOptions,
    reference="@article{Schutt2018, title={{SchNet} -- A deep learning architecture for molecules"
    " and materials}, author={Schütt, Kristof T. and Sauceda, Huziel E. and Kindermans,"
    " Pieter-Jan and Tkatchenko, Alexandre and Müller, Klaus-Robert}, journal={The Journal of"
    " Chemical Physics}, volume={148}, pages={241722}, year={2018}, doi={10.1063/1.5019779}}",
)

# Not its own nearest 24, but the graphs of MEGNet: see docs/results.md.
_COGN = BackboneSpec(
    name="cogn",
    title="coGN",
    model="trainables.models.cogn:COGN",
    representation=_MEGNET.representation,
    recipes={
        "paper": Recipe(name="paper", optimiser="adam", lr=5e-4, batch_size=64, epochs=800),
        "tuned": replace(_TUNED, epochs=100),
    },
    edge_cost=(10.0, 0.23),
    options=COGNOptions,
    reference="@article{Ruff2024, title={Connectivity optimized nested line graph networks for"
    " crystal structures}, author={Ruff, Robin and Reiser, Patrick and Stühmer, Jan and"
    " Friederich, Pascal}, journal={Digital Discovery}, volume={3}, pages={594--601}, year={2024},"
    " doi={10.1039/d4dd00018h}}",
)

# The network is ours; of those whose parts it has, NequIP is nearest.
_TENSOR = BackboneSpec(
    name="tensor",
    title="Equivariant network",
    model="trainables.models.tensor:TensorNetwork",
    stacking="vmap",
    representation=OrbitGraph(
        name="orbits-r4", version=1, cutoff=cutoffs.TENSOR, max_neighbours=None
    ),
    oriented=True,
    recipes={
        "paper": Recipe(name="paper", optimiser="adam", lr=1e-3, batch_size=32),
        "tuned": replace(_TUNED, epochs=100),
    },
    edge_cost=(10.0, 0.45),
    options=TensorOptions,
    reference="@article{Batzner2022, title={E(3)-equivariant graph neural networks for"
    " data-efficient and accurate interatomic potentials}, author={Batzner, Simon and Musaelian,"
    " Albert and Sun, Lixin and Geiger, Mario and Mailoa, Jonathan P. and Kornbluth, Mordechai and"
    " Molinari, Nicola and Smidt, Tess E. and Kozinsky, Boris}, journal={Nature Communications},"
    " volume={13}, pages={2453}, year={2022}, doi={10.1038/s41467-022-29939-5}}",
)

# For targets of atoms: the same network, of the same graphs without merging atoms.
_SCHNET_ATOMS = replace(
    _SCHNET,
    name="schnet_atoms",
    title="SchNet of all atoms",
    representation=AtomGraph(
        name="atoms-r5", version=FEATURISER_VERSION, cutoff=cutoffs.SCHNET, max_neighbours=None
    ),
)

GROUP = "elemgrid.backbones"


class Backbones(UserDict[str, BackboneSpec]):
    """Backbones by name: the built-in ones, then those that installed packages register.

    A package's module is imported when its backbone is first asked for. It cannot take the name of
    a built-in one.
    """

    def __init__(self, *built_in: BackboneSpec) -> None:
        super().__init__({spec.name: spec for spec in built_in})
        self._registered = entry_points(group=GROUP)

    def __missing__(self, name: str) -> BackboneSpec:
        """The backbone of another package.

        Raises:
            KeyError: there is none.
            ValueError: it cannot be imported, is none, or two packages register one.
        """
        entries = self._registered.select(name=name)
        if not entries:
            raise KeyError(name)
        if len(entries) > 1:
            packages = " and ".join(map(_package, entries))
            raise ValueError(f"{packages} both register a backbone {name!r}; uninstall one")
        (entry,) = entries
        self.data[name] = _loaded(entry)
        return self.data[name]

    def __contains__(self, name: object) -> bool:
        return name in self.data or name in self._registered.names

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self.data, *sorted(self._registered.names)]))

    def __len__(self) -> int:
        return len(list(iter(self)))


def _loaded(entry: EntryPoint) -> BackboneSpec:
    try:
        spec = entry.load()
    except Exception as error:  # whatever the import of a stranger's module raises
        raise ValueError(
            f"{_package(entry)}: backbone {entry.name!r} cannot be imported ({error})"
        ) from None
    if not isinstance(spec, BackboneSpec) or spec.name != entry.name:
        raise ValueError(f"{_package(entry)}: {entry.value} is no BackboneSpec of {entry.name!r}")
    return spec


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.module


BACKBONES = Backbones(_CGCNN, _MEGNET, _SCHNET, _COGN, _TENSOR, _SCHNET_ATOMS)


def representations(backbones: Iterable[str]) -> list[CrystalGraph]:
    """The distinct representations that some backbones use; two may share one."""
    return list(dict.fromkeys(BACKBONES[name].representation for name in backbones))
