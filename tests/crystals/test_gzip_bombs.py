"""A small gzip file with an endless text in it is given up while it is read, by every reader."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from trainables.compositions.reading import read_compositions
from trainables.crystals.sources import Source, SourceError, base, gunzip, open_source

# White space after what each reader takes for a good beginning.
ENDLESS = (b" " * 4000 + b"\n") * 600  # 2.4 MB
MATBENCH = b'{"index": [0], "columns": ["structure", "y"], "data": ['


def all_of(source: Source) -> int:
    return sum(1 for _ in source.entries())


def read_all(path: Path) -> object:
    return all_of(open_source(path))


READERS: dict[str, tuple[Callable[[Path], object], bytes]] = {
    "crystals.json.gz": (read_all, MATBENCH),
    "crystals.csv.gz": (read_all, b"id,cif,y\n1,x,2\n"),
    "id_prop.csv": (lambda path: read_all(path.parent), b"a,1\n"),
    "formulas.csv.gz": (read_compositions, b"formula,y\nNaCl,1\n"),
    "formulas.json.gz": (read_compositions, b'{"columns": ["composition", "y"], "data": ['),
}


def refusal(read: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        read(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and "\n" not in text
    return text


@pytest.mark.parametrize("name", READERS)
def test_a_bomb_is_given_up(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gunzip, "HARMLESS", 1 << 20)
    read, start = READERS[name]
    path = tmp_path / name
    path.write_bytes(gzip.compress(start + ENDLESS))
    text = refusal(read, path)
    assert "more than 200 times the size of the gzip file" in text and "gunzip it" in text


def test_a_bomb_is_given_up_at_64_mib(tmp_path: Path) -> None:
    path = tmp_path / "zeros.gz"
    path.write_bytes(gzip.compress(bytes(80 << 20)))
    with gunzip.opened(path, gunzip.LARGEST_STREAM) as file:
        assert len(file.read(64 << 20)) == gunzip.HARMLESS == 64 << 20
        with pytest.raises(gunzip.TooMuchText):
            file.read(2 << 20)


def repetitive(pieces: int) -> Iterable[bytes]:
    """Text that shrinks about 60 times, more than any table of crystals that we met."""
    digits = random.Random(0)
    for _ in range(pieces):
        yield digits.randbytes(500).hex().encode() + b"0" * 40_000 + b"\n"


def test_what_is_merely_repetitive_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gunzip, "HARMLESS", 1 << 20)
    text = b"".join(repetitive(100))
    path = tmp_path / "table.gz"
    path.write_bytes(gzip.compress(text))
    assert 40 < len(text) / path.stat().st_size < gunzip.LARGEST_RATIO
    with gunzip.opened(path, gunzip.LARGEST_STREAM) as file:
        assert file.read() == text


def test_a_stream_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gunzip, "LARGEST_STREAM", 3 << 20)
    path = tmp_path / "crystals.csv.gz"
    path.write_bytes(gzip.compress(b"id,cif,y\n1,x,2\n" + b"".join(repetitive(100))))
    assert "its text is larger than 3 MiB; divide it" in refusal(read_all, path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["formulas.csv", "formulas.json"])
def test_what_is_held_whole_has_a_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, packed: bool
) -> None:
    monkeypatch.setattr(base, "LARGEST_WHOLE", 1 << 20)
    read, start = READERS[name if name in READERS else f"{name}.gz"]
    text = start + b"".join(repetitive(100))
    path = tmp_path / (name if name in READERS or not packed else f"{name}.gz")
    path.write_bytes(gzip.compress(text) if packed else text)
    assert "its text is larger than 1 MiB" in refusal(read, path)
