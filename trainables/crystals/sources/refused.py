"""Kinds of files that hold crystals often, and are not read: why, and what to do instead."""

from __future__ import annotations

from pathlib import Path

_PACKED = (".gz", ".bz2", ".xz", ".zst")
_PICKLES = (".pkl", ".pickle", ".p", ".joblib")
_ARRAYS = (".npy", ".npz", ".h5", ".hdf5", ".hdf")
_ARCHIVES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".7z", ".rar")
_IN_PLACE = (".traj", ".db")  # whose frames and rows are looked up in the file


def why_refused(path: Path) -> str:
    """Why a file of this name is not read, and the remedy, in one line; "" for other names.

    Nothing of the file is read.
    """
    name = path.name.lower()
    plain = next((name.removesuffix(end) for end in _PACKED if name.endswith(end)), name)
    if plain.endswith(_PICKLES):
        return _of_pickle(path)
    if plain.endswith(_ARCHIVES):
        return "an archive; unpack it, and give the file or the folder in it"
    if plain.endswith(_ARRAYS):
        return (
            "arrays do not say what is a structure; write a JSON list of pymatgen's structures, a"
            " .parquet, or an .extxyz by ase.io.write"
        )
    if plain != name and plain.endswith(_IN_PLACE):
        return f"packed, while it is read in places; unpack it to {path.stem}"
    return ""


def _of_pickle(path: Path) -> str:
    new = path.name.partition(".")[0] + ".parquet"
    return (
        "a pickle can run any program when it is opened, so it is not; if you trust it, write"
        f" its table anew: t = pandas.read_pickle({path.name!r}) and then"
        f' t.assign(structure=[s.to(fmt="json") for s in t["structure"]]).to_parquet({new!r})'
    )
