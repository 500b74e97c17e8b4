"""The backbones: names, classes, graphs, recipes and costs, all listed in this file.

Cheap to import, as planning a grid or parsing its command line needs no torch: the module of a
network is imported when its first model is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from trainables.models.options import CGCNNOptions, MEGNetOptions, NetworkOptions
from trainables.models.recipe import Recipe, RecipeName
from trainables.representations.graph import FEATURISER_VERSION, GraphKind


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """One kind of network.

    Attributes:
        name: on the command line, in ledgers and in keys of models.
        title: for printing.
        model: "module:class" of the stacked network; `load` documents the interface of the class.
        graph_kind: which neighbours it uses.
        recipes: how it is optimised, by name of the recipe.
        edge_cost: (a, b) of the work a + b·width for an edge in an epoch, as measured on one core;
            only ratios between backbones matter.
        options: class of its options, whose fields have defaults.
        reference: its publication, in BibTeX.
    """

    name: str
    title: str
    model: str
    graph_kind: GraphKind
    recipes: Mapping[RecipeName, Recipe]
    edge_cost: tuple[float, float]
    options: type[NetworkOptions] = NetworkOptions
    reference: str

    def load(self) -> Any:
        """The class of the stacked network.

        Called with generators [K], mixings [K], the descriptor [119, 92] and a dimension, and with
        the fields of `options` by name, it makes a `torch.nn.Module` that maps a `GraphBatch` to
        predictions [K, B]. The network has an `embedding` (`HybridEmbedding`) and
        `node_layers(batch)`, its node features [K, N, A] after each layer.
        """
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
    # 12 nearest within 8 Å (Xie & Grossman 2018)
    graph_kind=GraphKind(name="nn12-r8", version=FEATURISER_VERSION, cutoff=8.0, max_neighbours=12),
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
    # all within 4 Å (Chen et al. 2019, as in the thesis)
    graph_kind=GraphKind(
        name="all-r4", version=FEATURISER_VERSION, cutoff=4.0, max_neighbours=None
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

BACKBONES: dict[str, BackboneSpec] = {spec.name: spec for spec in (_CGCNN, _MEGNET)}


def graph_kinds(backbones: Iterable[str]) -> list[GraphKind]:
    """The distinct kinds of graphs that some backbones use; two may share one."""
    return list(dict.fromkeys(BACKBONES[name].graph_kind for name in backbones))
