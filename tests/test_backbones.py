"""One list of backbones: a new entry trains, and what others know of backbones agrees with it."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys
import textwrap
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from analysis.figures.style import CATEGORIES, colour_backbone, name_backbone
from orchestrator.ensemble import submission
from orchestrator.grid.arrays import arrays
from orchestrator.grid.request import build_config
from orchestrator.hybrid_grid.flags import parse
from orchestrator.interface.errors import UsageError
from orchestrator.planning.sample import draw
from orchestrator.runs.records import Records
from tests.orchestrator.small_data import cells_of
from tests.orchestrator.small_grids import embedded
from tests.packages_for_tests import install
from trainables.crystals.ionic import IonicSource
from trainables.crystals.registry import TASKS
from trainables.models.backbones import BACKBONES, Backbones, BackboneSpec, representations
from trainables.models.recipe import Recipe
from trainables.testing.backbones import BackboneContract
from trainables.testing.crystals import made_up
from trainables.testing.samples import graphs_of, made_up_dataset, model_of
from trainables.training.checkpoint import CheckpointError, load_model, predict
from trainables.training.fit import fit

ROOT = Path(__file__).resolve().parents[1]
TINY = BackboneSpec(  # it sees the graphs that MEGNet sees
    name="tiny",
    title="Tiny",
    model="tests.tiny_backbone:Tiny",
    stacking="vmap",
    representation=BACKBONES["megnet"].representation,
    recipes={"tuned": Recipe(name="tuned", optimiser="adam", lr=0.02, batch_size=16)},
    edge_cost=(1.0, 0.01),
    reference="@article{Tiny}",
)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> BackboneSpec:
    """A fourth backbone, entered where CONTRIBUTING says."""
    monkeypatch.setitem(BACKBONES, "tiny", TINY)
    return TINY


def test_a_new_backbone_trains_and_is_recorded(tiny: BackboneSpec, tmp_path: Path) -> None:
    overrides = {
        "tasks": ("made-up",), "backbones": ("megnet", "tiny"), "dims": (4,), "folds": (0,),
        "mixing": ("H", "0", "L"), "epochs": 3,
    }  # fmt: skip
    config = build_config(None, overrides)
    data = made_up_dataset("tiny", 40)
    of_megnet, of_tiny = arrays(cells_of(config, "data"))
    assert of_tiny.spec.backbone == "tiny" and of_tiny.spec.options == tiny.options()
    assert of_tiny.cost(data) < of_megnet.cost(data)
    assert not set(of_tiny.keys.values()) & set(of_megnet.keys.values())

    records = Records(tmp_path)
    for outcome in fit(of_tiny.spec, data):
        assert outcome.history.epochs == 3 and not outcome.history.diverged
        assert outcome.history.train_loss[-1] < outcome.history.train_loss[0]
        assert outcome.arrays["elements/layer1"].shape[1] == 4
        row = of_tiny.row(outcome.history.member.label) | {"status": "done"}
        records.write(row | outcome.metrics, outcome.arrays)
        model, found = load_model(tmp_path / f"{row['key']}.safetensors")
        kept = outcome.arrays["predictions/test/row"]
        graphs = graphs_of([made_up(40)[i] for i in kept], "tiny")
        np.testing.assert_allclose(
            predict(model, found, graphs).values,
            outcome.arrays["predictions/test/value"],
            rtol=1e-5,
        )


def test_the_version_of_a_network_is_in_its_keys_and_compared(
    tiny: BackboneSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = {
        "tasks": ("made-up",), "backbones": ("tiny",), "dims": (4,), "folds": (0,),
        "mixing": ("H",), "epochs": 1,
    }  # fmt: skip
    config = build_config(None, overrides)
    (array,) = arrays(cells_of(config, "data"))
    (outcome,) = fit(array.spec, made_up_dataset("tiny", 40))
    row = array.row("H") | {"status": "done"} | outcome.metrics
    Records(tmp_path).write(row, outcome.arrays)
    monkeypatch.setitem(BACKBONES, "tiny", dataclasses.replace(tiny, version=2))
    (newer,) = arrays(cells_of(config, "data"))
    assert newer.keys["H"] != array.keys["H"]
    why = r"trained with version 1 of tiny, and 2 is installed"
    with pytest.raises(CheckpointError, match=why):
        load_model(tmp_path / f"{row['key']}.safetensors")


def test_contributing_shows_the_tiny_one() -> None:
    shown = (
        (ROOT / "CONTRIBUTING.md").read_text().partition("```python\n")[2].partition("   ```")[0]
    )
    assert "class Tiny(Backbone)" in shown
    assert textwrap.dedent(shown) in (ROOT / "tests" / "tiny_backbone.py").read_text()


class TestTiny(BackboneContract):
    """The one that CONTRIBUTING shows, which looks at no bonds."""

    spec = TINY
    sees_lengths = False


def test_backbones_that_see_the_same_graphs_share_their_shards(tiny: BackboneSpec) -> None:
    assert representations(["tiny", "cgcnn", "megnet"]) == [
        tiny.representation,
        BACKBONES["cgcnn"].representation,
    ]
    drawn = draw(Few(), ["megnet", "tiny"], 1000)
    assert drawn["megnet"].size == drawn["tiny"].size


class Few(IonicSource):
    """A few of the embedded crystals."""

    def count(self) -> int:
        return 12

    def entries(self):  # type: ignore[no-untyped-def]
        return iter(embedded(12))


def test_a_new_backbone_is_a_choice_and_an_unknown_one_is_not(
    tiny: BackboneSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    assert parse(["--tasks", "ionic", "--backbones", "tiny"]).config.backbones == ("tiny",)
    with pytest.raises(UsageError, match="'other' is wrong, it must be 'cgcnn' or 'megnet' or"):
        build_config("demo", {"backbones": ("cgcnn", "other")})


def test_an_ensemble_names_where_its_networks_were_published(tiny: BackboneSpec) -> None:
    assert submission.references(["tiny", "cgcnn", "tiny"]) == [
        BACKBONES["cgcnn"].reference,
        "@article{Tiny}",
    ]


# -------------------------------------------------------------------------- those of other packages


def test_a_package_registers_a_backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Backbones(BACKBONES["cgcnn"])
    monkeypatch.syspath_prepend(
        install(tmp_path, "strangers", cgconv="tests.extensions.cgconv:SPEC", cgcnn="no:SUCH")
    )
    found = Backbones(BACKBONES["cgcnn"])
    assert set(found) - set(known) == {"cgconv"} and "cgconv" in found
    assert found["cgconv"].title == "CGConv"
    assert found["cgcnn"] is BACKBONES["cgcnn"]
    with pytest.raises(KeyError, match="other"):
        found["other"]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (
            "tests.extensions.none_such:SPEC",
            r"backbone 'new' cannot be imported \(No module named .*none_such'\)",
        ),
        (
            "tests.extensions.cgconv:NONE",
            r"backbone 'new' cannot be imported \(.*has no attribute 'NONE'\)",
        ),
        ("tests.extensions.cgconv:Network", r"cgconv:Network is no BackboneSpec of 'new'"),
        ("tests.extensions.cgconv:SPEC", r"cgconv:SPEC is no BackboneSpec of 'new'"),
    ],
)
def test_what_is_wrong_with_a_package_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, why: str
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path, "strangers", new=value))
    with pytest.raises(ValueError, match=rf"^strangers: .*{why}$"):
        Backbones()["new"]


def test_two_packages_cannot_register_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("one", "other"):
        install(tmp_path, package, cgconv="tests.extensions.cgconv:SPEC")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="both register a backbone 'cgconv'; uninstall one"):
        Backbones()["cgconv"]


# ------------------------------------------------------------------------------ what is there today


# A run goes on as long as the keys of its models are these.
KEYS = {
    ("paper", "cgcnn"): "a1936002451a2cbe6478e23d",
    ("paper", "megnet"): "a2a0795a65784d278dff0322",
    ("tuned", "cgcnn"): "fbe43d279c184113ee04f364",
    ("tuned", "megnet"): "5b1f48d93a5533895286e0b1",
}


@pytest.mark.parametrize("recipe", ["paper", "tuned"])
def test_keys_of_models_are_what_they_were(recipe: str) -> None:
    overrides = {
        "recipe": recipe, "tasks": ("phonons",), "folds": (1,), "dims": (16,), "mixing": ("-2",),
        "conv_width": 24,
    }  # fmt: skip
    for cell in cells_of(build_config("paper", overrides), "data"):
        assert cell.key == KEYS[recipe, cell.spec.backbone]


@pytest.mark.parametrize("name", BACKBONES)
def test_figures_call_a_backbone_by_its_title(name: str) -> None:
    assert name_backbone(name) == BACKBONES[name].title
    assert colour_backbone(name) != colour_backbone("one that has no title")
    assert colour_backbone(name) in CATEGORIES


@pytest.mark.parametrize("name", BACKBONES)
def test_an_entry_is_whole(name: str) -> None:
    spec = BACKBONES[name]
    assert spec.name == name
    assert isinstance(model_of(name), nn.Module)
    every = {"generators", "embedding", "dim", "outputs", "result"}
    options = inspect.signature(spec.network()).parameters.keys() - every
    assert options == {field.name for field in fields(spec.options)}
    assert spec.reference.startswith("@") and spec.reference.count("{") == spec.reference.count("}")


def test_published_scores_are_of_known_backbones() -> None:
    assert {name for task in TASKS.values() for name in task.published} <= set(BACKBONES)


def test_the_list_is_light_to_import() -> None:
    code = (
        "import sys, trainables.models.backbones;"
        " print({'torch', 'ray', 'pymatgen'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
