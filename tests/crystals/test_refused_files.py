"""Kinds of files that are not read: the line says what to do instead, and nothing is opened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trainables.crystals.parsing import parse
from trainables.crystals.sources import SourceError, open_source
from trainables.crystals.sources.files import is_structure


def refused(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(path)
    text = str(caught.value)
    assert text.isprintable() and len(text) < 500 and str(path) in text
    return text


PICKLES = ("a.pkl", "A.PICKLE", "a.p", "a.pkl.gz", "a.pickle.bz2", "a.joblib")
NOT_READ = {
    **dict.fromkeys(PICKLES, "a pickle can run any program"),
    **dict.fromkeys(("a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.xz", "a.7z"), "an archive; unp"),
    **dict.fromkeys(("a.npy", "a.npz", "a.h5", "a.hdf5"), "arrays do not say what is a structure"),
    "a.traj.gz": "packed, while it is read in places; unpack it to a.traj",
    "a.db.gz": "packed, while it is read in places; unpack it to a.db",
    "POSCAR.zip": "an archive; unpack it",
    "a.txt": "unknown kind of file; give a MatBench .json.gz",
}


@pytest.mark.parametrize(("name", "why"), NOT_READ.items())
def test_what_is_not_read_says_what_to_do(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04.")
    (tmp_path / name).chmod(0)  # it is not opened
    assert why in refused(tmp_path / name)


def test_the_remedy_for_a_pickle_works(tmp_path: Path) -> None:
    """The two statements of the message, in a process that has the pickle's author's trust."""
    make = (
        "import pandas\nfrom pymatgen.core import Lattice, Structure\n"
        "one = Structure(Lattice.cubic(4), ['Cs', 'Cl'], [[0, 0, 0], [0.5, 0.5, 0.5]])\n"
        "pandas.DataFrame({'structure': [one, one], 'y': [1.0, 2.0]}).to_pickle('a.pkl')\n"
    )
    subprocess.run([sys.executable, "-c", make], cwd=tmp_path, check=True)
    told = refused(tmp_path / "a.pkl").partition("write its table anew: ")[2]
    program = "import pandas\n" + told.replace(" and then ", "\n")
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    source = open_source(tmp_path / "a.parquet")
    assert [entry.target for entry in source.entries()] == ["1.0", "2.0"]
    assert all(len(parse(entry).numbers) == 2 for entry in source.entries())


@pytest.mark.parametrize("name", [*NOT_READ, "POSCAR.xyz", "CONTCAR.traj", "POSCAR.db"])
def test_none_of_them_is_taken_for_one_structure(name: str) -> None:
    assert not is_structure(Path(name))
