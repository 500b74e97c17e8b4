"""Axes: values, ranges, keys, ids of arrays and columns of the ledger. No Ray."""

from __future__ import annotations

import dataclasses
import json

import pandas as pd
import pytest

from orchestrator.grid.arrays import arrays
from orchestrator.grid.axes import Range, tell, whole
from orchestrator.grid.cells import CHOICES, Space
from orchestrator.grid.columns import NOTHING, varying
from orchestrator.grid.config import AXES, GridConfig
from orchestrator.grid.request import build_config
from orchestrator.hybrid_grid.flags import _parser, parse
from orchestrator.interface.errors import UsageError
from tests.orchestrator.small_data import ENERGY, cells_of, with_rows

SMALL = {"folds": (0,), "dims": (8,), "mixing": ("H", "L"), "backbones": ("cgcnn",)}


def small(**changes: object) -> GridConfig:
    return build_config("demo", {**SMALL, **changes})


def space(config: GridConfig) -> Space:
    return Space(config, dict.fromkeys(config.tasks, ENERGY), {})


# ---------------------------------------------------------------------------------- declared once


def test_every_axis_is_flag_field_and_column() -> None:
    columns = {axis.column for axis in AXES.values()}
    assert columns <= set(NOTHING)
    for name, axis in AXES.items():
        assert name in GridConfig.model_fields
        flags = _parser()._option_string_actions
        assert flags[f"--{name.replace('_', '-')}"].help == axis.help


@pytest.mark.parametrize(
    ("name", "values", "column"),
    [
        *(("lr", (1e-3, 2e-3), "lr"), ("batch_size", (16, 64), "batch_size")),
        *(("weight_decay", (0.0, 0.5), "weight_decay"), ("epochs", (2, 3), "max_epochs")),
        *(("layers", (2, 4), "layers"), ("conv_width", (9, 10), "conv_width")),
    ],
)
def test_a_new_axis_multiplies_the_grid(name: str, values: tuple[object], column: str) -> None:
    config = small(**{name: values})
    found = cells_of(config)
    assert len(found) == len({cell.key for cell in found}) == 4
    assert [CHOICES[column].of(cell.spec) for cell in found] == [
        value for value in values for _ in "HL"
    ]
    one, other = arrays(found)
    assert len(one.keys) == 2 and one.id != other.id
    assert one.id == f"ionic/fold0/cgcnn/d8/{tell({column: values[0]})}"


def test_a_start_without_effect_makes_no_further_model() -> None:
    mixing = ("H", "0", "residual")
    both = cells_of(small(mixing=mixing, element_init=("normal", "zero")))
    found = [(cell.spec.mixing, cell.spec.recipe.element_init) for cell in both]
    assert found == [("H", "normal"), ("0", "normal"), ("residual", "normal"), ("0", "zero")]
    usual = {cell.key for cell in cells_of(small(mixing=mixing))}
    assert usual == {cell.key for cell in both[:3]}


@pytest.mark.parametrize(
    "changes",
    [
        {"element_init": ("zero",)},
        {"handcrafted": ("elements",)},
        {"element_init": ("frozen",), "handcrafted": ("elements",)},
    ],
)
def test_one_value_that_some_mixings_ignore_makes_one_array(changes: dict[str, object]) -> None:
    mixing = ("H", "0", "L", "auto", "residual")
    found = cells_of(small(mixing=mixing, **changes))
    (array,) = arrays(found)
    assert tuple(array.keys) == mixing
    assert set(with_rows(found)["setting"]) == {""}


def test_a_value_without_effect_is_not_shown() -> None:
    mixing = ("H", "0", "residual")
    ledger = with_rows(cells_of(small(mixing=mixing, element_init=("zero", "frozen"))))
    shown = dict(zip(ledger["mixing"] + ledger["setting"], ledger["element_init"], strict=True))
    assert shown.pop("0element_init zero") == "zero"
    assert shown.pop("0element_init frozen") == "frozen"
    assert set(shown) == {"H", "residual"} and pd.isna(list(shown.values())).all()


def test_arrays_of_one_name_are_refused() -> None:
    cells = cells_of(small(layers=(2, 3)))
    alike = [dataclasses.replace(cell, label="") for cell in cells]
    with pytest.raises(ValueError, match="several arrays are called ionic/fold0/cgcnn/d8"):
        arrays(alike)


def test_a_model_is_named_with_what_its_array_differs_in() -> None:
    (usual,) = arrays(cells_of(small()))
    assert usual.describe(usual.row("H")) == "cgcnn d8 H"
    one, _ = arrays(cells_of(small(lr=(1e-3, 2e-3))))
    assert one.describe(one.row("H")) == "cgcnn d8 H lr 0.001"


def test_seeds_are_repeats_in_arrays_of_their_own() -> None:
    found = arrays(cells_of(small(seed=(3, 1))))
    assert [array.spec.seed for array in found] == [3, 1]
    assert [array.id for array in found] == [
        "ionic/fold0/cgcnn/d8/seed 3", "ionic/fold0/cgcnn/d8/seed 1"
    ]  # fmt: skip
    (alone,) = arrays(cells_of(small(seed=1)))
    assert alone.keys == found[1].keys and alone.id == "ionic/fold0/cgcnn/d8"


def test_a_value_that_the_recipe_has_anyway_changes_no_key() -> None:
    usual = [cell.key for cell in cells_of(small())]
    same = cells_of(small(lr=3e-3, batch_size=32, weight_decay=0.1, layers=3, conv_width=8))
    assert [cell.key for cell in same] == usual
    assert [array.id for array in arrays(same)] == ["ionic/fold0/cgcnn/d8"]


def test_a_network_without_the_option_keeps_its_default() -> None:
    config = small(backbones=("cgcnn", "megnet"), layers=(2, 4))
    assert [array.id.split("/", 2)[2] for array in arrays(cells_of(config))] == [
        "cgcnn/d8/layers 2", "cgcnn/d8/layers 4", "megnet/d8"
    ]  # fmt: skip


# ----------------------------------------------------------------------------- values and ranges


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--lr 0", "--lr: 0.0 is wrong, a rate is a finite number above 0"),
        ("--lr nan", "--lr: nan is wrong, a rate"),
        ("--weight-decay -1", "--weight-decay: -1.0 is wrong, a decay"),
        ("--layers 0", "--layers: 0 is wrong, it must be greater than or equal to 1"),
        ("--lr 1e-3 0.001", "--lr: given twice: 0.001"),
        ("--lr fast", "--lr: invalid float value: 'fast'"),
        ("--folds 0..2", "--folds: invalid int value: '0..2'"),
        ("--width 16", "--width: no network of this grid has the option 'width'"),
        ("--lr 1e-4..1e-2", "--lr: 0.0001..0.01 is a range, for a search: list values, or add"),
        ("--budget 3", "--budget: a grid has none; add --strategy random"),
        ("--strategy random", "--strategy random: add --budget N"),
        ("--strategy random --budget 0", "--budget: 0 is wrong"),
        ("--strategy rnd --budget 1", "did you mean random?"),
        (
            "--strategy random --budget 2 --lr 1e-2..1e-4",
            "1e-2..1e-4 is wrong, a range rises",
        ),
        ("--strategy random --budget 2 --lr 0..1", "--lr: 0 is wrong, a rate"),
        ("--strategy random --budget 2 --weight-decay 0..1", "a logarithmic scale begins above 0"),
        ("--strategy random --budget 2 --dims 8..64 4", "--dims: a range stands alone"),
        ("--strategy random --budget 2 --dims 8..x", "--dims: 'x' is wrong, it must be a valid"),
        ("--strategy random --budget 2 --dims 8..9999", "--dims: 9999 is wrong, a dimension lies"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(flags: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(["--preset", "demo", *flags.split()])
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_configuration_is_the_same_from_its_manifest() -> None:
    flags = "--preset demo --strategy random --budget 5 --dims 8..64 --lr 1e-4..1e-2 --seed 0 4"
    config = parse(flags.split()).config
    assert config.dims == (Range(8, 64),) and config.lr == (Range(1e-4, 1e-2),)
    text = json.dumps(config.model_dump(mode="json"))
    assert '"lr": "0.0001..0.01"' in text and '"seed": [0, 4]' in text
    assert GridConfig(**json.loads(text)) == config


def test_manifests_from_before_the_new_axes_are_those_of_today() -> None:
    now = build_config("demo", {}).model_dump(mode="json")
    assert (now["seed"], now["epochs"], now["conv_width"]) == (0, 20, None)
    assert {now[name] for name in ("lr", "layers", "strategy", "budget")} == {None}


def test_ranges_are_drawn_from_end_to_end() -> None:
    whole_numbers = Range.parse("8..10", whole(1))
    assert [whole_numbers.at(share) for share in (0, 0.34, 0.67, 0.999)] == [8, 9, 10, 10]
    rates = Range(1e-4, 1e-2)
    assert [rates.at(share) for share in (0, 0.5, 0.999999)] == [1e-4, 1e-3, 1e-2]


# ------------------------------------------------------------------------------ points and columns


def test_a_point_that_is_none_is_refused() -> None:
    two = space(small(dims=(8, 16)))
    with pytest.raises(ValueError, match="'dims' is no axis; there are backbone, dim"):
        two.cells({"dims": 8})
    with pytest.raises(ValueError, match="a point without 'dim', which has several values"):
        two.cells({"mixing": "H"})
    with pytest.raises(ValueError, match="'schnet' is none of this run's --backbones"):
        two.cells({"mixing": "H", "dim": 8, "backbone": "schnet"})
    with pytest.raises(ValueError, match="99999 is wrong, a dimension lies"):
        two.cells({"mixing": "H", "dim": 99999})


def test_the_ledger_has_a_column_for_each_axis() -> None:
    config = small(backbones=("cgcnn", "megnet"), lr=(1e-3, 2e-3), layers=2)
    ledger = with_rows(cells_of(config))
    assert varying(ledger) == ["lr"]
    assert ledger["lr"].tolist() == [1e-3, 1e-3, 2e-3, 2e-3] * 2
    assert ledger["layers"].tolist()[:4] == [2] * 4 and ledger["layers"].isna().sum() == 4
    assert ledger["setting"].tolist()[::2] == ["lr 0.001", "lr 0.002"] * 2
    assert ledger["gamma"].tolist()[:2] == [float("-inf"), float("inf")]


def test_a_recipes_own_values_are_no_setting() -> None:
    ledger = with_rows(cells_of(small(backbones=("cgcnn", "megnet"))))
    assert ledger["lr"].nunique() == 2  # one for each backbone
    assert set(ledger["setting"]) == {""} and not varying(ledger)
