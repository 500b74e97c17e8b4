"""Records changed by a disk or a user are detected, and trained again. No Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.runs.ledger import compile_ledger
from orchestrator.runs.records import AGAIN, LedgerError, Records, until_sound
from tests.orchestrator.small_records import arrays, row
from trainables.training import record_file


def is_noticed(records: Records, path: Path) -> bool:
    """Whether the damage of a file is found, and said of this file in one line."""
    found = records.damage(["a"])
    if not found:
        return False
    text = str(found["a"])
    assert text.startswith(f"{path}: damaged; run the command that trained it again")
    assert "\n" not in text
    with pytest.raises(LedgerError):
        records.arrays("a")
    return True


@pytest.mark.parametrize("more", [{}, {"error": "Zeile ä\nzwei", "unit": "eV"}])
def test_every_cut_and_every_flipped_bit_of_a_row_is_noticed(
    records: Records, more: dict[str, Any]
) -> None:
    records.write(row("a", **more), {})
    path = records.folder / "a.json"
    whole = path.read_bytes()
    assert record_file.opened(whole) == records.read("a")
    for place in range(len(whole)):
        assert not record_file.opened(whole[:place])
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            assert not record_file.opened(bytes(flipped)), (place, bit)
    for place in (0, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:place])
        assert is_noticed(records, path)
    path.write_bytes(whole)
    assert not records.damage(["a"])


def test_cuts_and_flipped_bits_of_arrays_are_noticed(records: Records) -> None:
    records.write(row("a"), arrays())
    path = records.folder / "a.safetensors"
    whole = path.read_bytes()
    for place in [*range(12), *range(12, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:place])
        assert is_noticed(records, path)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert is_noticed(records, path)
    path.write_bytes(whole + b"\0")
    assert is_noticed(records, path)
    path.write_bytes(whole)
    assert not records.damage(["a"])


def test_arrays_that_are_gone_are_noticed(records: Records) -> None:
    records.write(row("a"), arrays())
    (records.folder / "a.safetensors").unlink()
    with pytest.raises(LedgerError, match=r"a\.safetensors: missing; run the command that"):
        records.arrays("a")
    assert set(records.damage(["a"])) == {"a"}


def sealed(text: bytes) -> bytes:
    return text + record_file.seal(text)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"key": "a", "status": "done"}\n',
        sealed(b'{\n "key": "a"'),
        sealed(b'{\n "key": "a",\n "status": "x"'),
    ],
)
def test_json_that_is_no_record_is_noticed(records: Records, content: bytes) -> None:
    """One of them is a record but for its digest."""
    records.write(row("a"), arrays())
    path = records.folder / "a.json"
    path.write_bytes(content)
    for read in (lambda: records.read("a"), lambda: compile_ledger(records, {"a": "salts"})):
        with pytest.raises(LedgerError) as caught:
            read()
        text = str(caught.value)
        assert text.startswith(f"{path}: damaged") and text.endswith(f"; {AGAIN}")


def test_a_record_under_another_name_is_noticed(records: Records) -> None:
    records.write(row("a"), arrays())
    (records.folder / "a.json").rename(records.folder / "b.json")
    with pytest.raises(LedgerError, match=r"b\.json: damaged"):
        records.read("b")
    with pytest.raises(LedgerError, match=r"a\.json: missing"):
        records.read("a")


def test_work_that_meets_damage_is_done_again_without_it(
    records: Records, capsys: pytest.CaptureFixture[str]
) -> None:
    """All damage is found at once: here a row, and the arrays of another model."""
    for key in "abc":
        records.write(row(key), arrays())
    (records.folder / "a.json").write_bytes(b"{")
    (records.folder / "b.safetensors").write_bytes(b"broken")
    begun = []

    def work() -> str:
        begun.append(records.recorded("abc"))
        for key in "abc":
            if key in begun[-1]:
                records.read(key)
            else:
                records.write(row(key), arrays(1))
        return "done"

    assert until_sound(records, "abc", work) == "done"
    assert begun == [{"a", "b", "c"}, {"c"}]
    told = capsys.readouterr().err.splitlines()
    assert told == [
        f"{records.folder / name}: damaged; it is set aside (….damaged), the model is trained again"
        for name in ("a.json", "b.safetensors")
    ]
    assert not records.damage("abc")
    assert {path.name for path in records.folder.glob("*.damaged")} == {
        f"{key}.{kind}.damaged" for key in "ab" for kind in ("json", "safetensors")
    }
    assert (records.folder / "b.safetensors.damaged").read_bytes() == b"broken"


def test_an_error_of_other_records_is_raised(records: Records) -> None:
    def work() -> None:
        records.read("elsewhere")

    records.write(row("a"), {})
    with pytest.raises(LedgerError, match=r"elsewhere\.json: missing"):
        until_sound(records, ["a"], work)
    assert records.recorded(["a"])
