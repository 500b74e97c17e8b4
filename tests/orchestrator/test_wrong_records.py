"""Records that are as they were written, checksums and all, but do not hold a model. No Ray."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from orchestrator.runs.ledger import compile_ledger, write_collected
from orchestrator.runs.record_contents import ABLATIONS, RATIOS
from orchestrator.runs.records import AGAIN, LedgerError, Records, until_sound
from tests.orchestrator.small_data import model_spec
from tests.orchestrator.small_records import arrays
from tests.orchestrator.small_records import row as row_of
from trainables.crystals.split import Split
from trainables.training import record_file

SPLIT = Split(np.array([1]), np.array([0, 2]), np.array([3]))
PARTS = {"validation": SPLIT.validation, "test": SPLIT.test}
SPEC = model_spec(dim=2)
ASKED = {
    "backbone": "cgcnn", "dim": 2, "mixing": "H", "fold": 0, "seed": 0, "recipe": "tuned",
    "spec": SPEC.text, "metric": "mae",
}  # fmt: skip
Row = dict[str, Any]
Arrays = dict[str, np.ndarray]


def row(key: str, **more: Any) -> Row:
    return row_of(key, **{"spec": SPEC.text, **more})


def sealed(text: bytes) -> bytes:
    return text.removesuffix(b"}") + record_file.seal(text.removesuffix(b"}"))


def put(records: Records, own: Row, left: Arrays, content: bytes | None = None) -> None:
    """Writes a record of the key "a" whose checksums are right, whatever is in it."""
    content = save(left) if content is None else content
    records.folder.mkdir(exist_ok=True)
    (records.folder / "a.safetensors").write_bytes(content)
    own = {"arrays_sha256": hashlib.sha256(content).hexdigest()} | own
    (records.folder / "a.json").write_bytes(sealed(json.dumps(own).encode()))


WRONG: dict[str, Any] = {
    "key": ["b", None, 3],
    "backbone": ["megnet", None, 7, ["cgcnn"]],
    "dim": [3, None, "2", 2.0, True, -2, 1 << 70, {"a": 1}],
    "mixing": ["L", None, 0],
    "fold": [1, None, "0"],
    "seed": [1, None],
    "recipe": ["paper", None],
    "status": ["x", None, 1, []],
    "task": [5, {}],
    "metric": [None, "1-roc_auc", 7],
    "scores": [7, {"rmse": 1.0}],
    "val_error": [None, "2", float("nan"), -1.0],
    "test_error": [None, float("inf")],
    "train_error": [None, True],
    "dummy_error": [None, {}],
    "val_mae": [None, "2", float("nan"), float("inf"), -1.0, [2.0], True],
    "test_mae": [None, "3", float("nan"), -float("inf")],
    "train_mae": [None, "3", float("nan")],
    "dummy_mae": [None, {}],
    "n_train": [None, 6.5],
    "n_val": [None, 3, "2"],
    "n_test": [2, -5],
    "epochs": [None, "5", 1e300],
    "best_epoch": [None, "4"],
    "parameters": [None, "many"],
    "seconds": [None, "long", float("nan"), -2.0],
    "unit": [5, ["eV"]],
    "spec": [
        None,
        5,
        {"dim": 2},
        "",
        "{}",
        "[]",
        SPEC.text[:-1],
        SPEC.text.replace("cgcnn", "other"),
        SPEC.text.replace('"layers":3,', '"layers":"3",'),
        model_spec(dim=3).text,
        model_spec(dim=2, data="other").text,
        "[" * 10_000,
    ],
    "array": [7],
    "error": [7, ["x" * 100]],
    "versions": [{"torch": "2"}],
    "kernels": [True, 1],
    "threads": ["1", 1.5, -2],
    "arrays_sha256": [None, 5, "00", "f" * 64],
}
ROWS = [(name, value) for name, values in WRONG.items() for value in values]


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "records", asked={"a": ASKED}.get)


def is_named(records: Records, file: str = "") -> None:
    """Whoever reads the record learns which file is damaged, in one line, and of no other."""
    work = (
        lambda: compile_ledger(records, {"a": "salts"}) and records.arrays("a", PARTS),
        lambda: collect(records),
    )
    for read in work:
        with pytest.raises(LedgerError) as caught:
            read()
        text = str(caught.value)
        assert text.startswith(f"{records.folder / 'a'}.{file}") and text.endswith(f"; {AGAIN}")
        assert ": damaged (" in text or ": damaged;" in text
        assert len(text) < 400 and "\n" not in text


def collect(records: Records) -> None:
    ledger = compile_ledger(records, {"a": "salts"}).to_pandas()
    ids, target = np.array(list("pqrs")), np.array([10.0, 11.0, 12.0, 13.0])
    crystals = {("salts", "cgcnn"): (ids, target)}
    write_collected(records.folder.parent, records, ledger, crystals, lambda _: SPLIT)


def test_a_right_one_is_read(records: Records) -> None:
    put(records, row("a"), arrays())
    collect(records)
    assert not records.damage("a")


@pytest.mark.parametrize(("name", "value"), ROWS, ids=lambda value: str(value)[:20])
def test_a_wrong_value_in_a_row_is_named(records: Records, name: str, value: Any) -> None:
    put(records, row("a") | {name: value}, arrays())
    is_named(records)


def test_a_specification_of_before_a_field_was_added_is_that_of_the_same_model(
    records: Records,
) -> None:
    """What a text lacks is at its default, as it was when the model was trained."""
    before = SPEC.text.replace('"layers":3,', "").replace('"warmup":0.05,', "")
    assert before != SPEC.text
    put(records, row("a") | {"spec": before}, arrays())
    collect(records)


def test_columns_that_are_missing_or_unknown_are_named(records: Records) -> None:
    for name in row("a"):
        if name in ("metric", *RATIOS, *ABLATIONS):  # of earlier rows; see below
            continue
        own = row("a")
        del own[name]
        put(records, own, arrays())
        is_named(records, "json")
    put(records, row("a") | {"more": 1}, arrays())
    is_named(records, "json")


def test_a_row_of_before_there_were_other_metrics_has_the_errors_of_its_maes(
    records: Records,
) -> None:
    of_now = {
        "metric",
        "scores",
        *RATIOS,
        *ABLATIONS,
        *(f"{part}_error" for part in ("train", "val", "test", "dummy")),
    }
    own = {name: value for name, value in row("a").items() if name not in of_now}
    put(records, own, arrays())
    assert not records.damage("a")
    unsealed = {"arrays_sha256": 0, "crc32": 0}
    unknown = dict.fromkeys((*RATIOS, *ABLATIONS))
    assert records.read("a") | unsealed == row("a") | unsealed | unknown
    put(records, own | {"val_mae": None}, arrays())
    is_named(records, "json")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"[" * 200_000 + b"]" * 200_000 + b"}", id="a bomb of brackets"),
        pytest.param(b'{"a":' * 50_000 + b"1" + b"}" * 50_000, id="a bomb of objects"),
        pytest.param(b'{"key": "a", "n_val": ' + b"9" * 10_000 + b"}", id="a long number"),
        pytest.param(
            json.dumps(row("a", error="x" * 100_000_000)).encode(), id="a string of 100 MB"
        ),
        pytest.param(b'{"key": "\xff"}', id="no UTF-8"),
        pytest.param(b'{"key": "a",}', id="no JSON"),
        pytest.param(b"[1}", id="a list"),
    ],
)
def test_json_that_is_no_row_is_named(records: Records, text: bytes) -> None:
    put(records, row("a"), arrays())
    (records.folder / "a.json").write_bytes(sealed(text))
    is_named(records, "json")


def test_done_without_arrays_is_trained_again(records: Records) -> None:
    """Their absence was no damage: the command that trains it again could not go on."""
    records.write(row("a"), {})
    is_named(records, "json")


def less(name: str) -> Callable[[Arrays], Arrays]:
    return lambda given: {other: value for other, value in given.items() if other != name}


def more(name: str, value: np.ndarray) -> Callable[[Arrays], Arrays]:
    return lambda given: given | {name: value}


def changed(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Arrays], Arrays]:
    return lambda given: given | {name: np.ascontiguousarray(change(given[name]))}


NEEDED = [name for name in arrays() if not name.startswith(("weights/", "elements/h"))]
SPOILT: list[Callable[[Arrays], Arrays]] = [
    *(less(name) for name in NEEDED),
    *(changed(name, lambda value: value[:-1]) for name in NEEDED if name != "curve/val_mae"),
    *(changed(name, lambda value: value[None, None]) for name in NEEDED),
    *(changed(name, lambda value: value.astype(np.float16)) for name in NEEDED[1:]),
    *(changed(name, lambda value: value * np.nan) for name in NEEDED if "value" in name),
    changed("elements/mixed", lambda value: value * np.float32(np.inf)),
    changed("elements/mixed", lambda value: value[:, :1]),
    changed("elements/mixed", lambda value: value[:, :0]),
    changed("elements/h", lambda value: value[:, :1]),
    changed("weights/w", lambda value: value * np.float32(np.nan)),
    changed("elements/numbers", lambda value: value[::-1]),
    changed("elements/numbers", lambda value: value * 0),
    changed("elements/numbers", lambda value: value + np.uint8(240)),
    changed("elements/numbers", lambda value: np.array([3, 9, 119], np.uint8)),
    changed("elements/counts", lambda value: value * 0),
    changed("predictions/test/row", lambda value: value - 9),
    changed("predictions/test/row", lambda value: value + 9),
    changed("predictions/test/row", lambda value: value - 1),
    changed("predictions/validation/row", lambda value: value[::-1]),
    more("elements/layerX", np.zeros((3, 2), np.float32)),
    more("elements/Na", np.zeros((3, 2), np.float32)),
    more("elements/layer1", np.zeros((2, 2), np.float32)),
    more("predictions/train/row", np.array([1])),
    more("other", np.zeros(3)),
    lambda given: {},
]


@pytest.mark.parametrize("number", range(len(SPOILT)))
def test_arrays_that_no_model_leaves_are_named(records: Records, number: int) -> None:
    put(records, row("a"), SPOILT[number](arrays()))
    is_named(records, "safetensors")


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 8, b"x" * 100, (1 << 60).to_bytes(8, "little") + b"{}", save({})[:-1]],
)
def test_arrays_that_are_no_safetensors_are_named(records: Records, content: bytes) -> None:
    put(records, row("a"), {}, content)
    is_named(records, "safetensors")


def test_what_only_the_work_finds_is_set_aside_too(
    records: Records, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which crystals a fold has stands in no record; without an end the job would begin again."""
    others = arrays() | {"predictions/test/row": np.array([1])}
    put(records, row("a"), others)

    def work() -> None:
        if not records.recorded("a"):
            records.write(row("a"), arrays())
        collect(records)

    until_sound(records, "a", work)
    (line,) = capsys.readouterr().err.splitlines()
    assert "a.safetensors: damaged (predictions/test is of other crystals than the fold's)" in line
    assert line.endswith("it is set aside (….damaged), the model is trained again")


def test_a_model_that_is_wrong_once_more_ends_it(records: Records) -> None:
    def work() -> None:
        put(records, row("a"), {})
        records.arrays("a")

    with pytest.raises(LedgerError, match="damaged"):
        until_sound(records, "a", work)
