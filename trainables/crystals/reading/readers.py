"""CIF and POSCAR as their file says: no symmetrising, no primitive cell.

Imported by the child process alone: a text can take any time and any memory to read.

Shape letters: N atoms of one crystal.
"""

from __future__ import annotations

from collections.abc import Callable

from trainables.crystals.crystal import Crystal
from trainables.crystals.reading.cif import read_cif
from trainables.crystals.reading.poscar import read_poscar

Atoms = tuple[list[int], list[list[float]], list[list[float]]]  # [N], fractional [N, 3], cell in Å

_READERS: dict[str, Callable[[str], Crystal]] = {"cif": read_cif, "poscar": read_poscar}


def read(form: str, text: str) -> Atoms:
    """Atomic numbers [N], fractional coordinates [N, 3] and cell [3, 3] in Å of a text.

    Args:
        form: `cif` or `poscar`.

    Raises:
        BadCrystal: the reason in one line.
        MemoryError: the text wants more than the process may have.
    """
    crystal = _READERS[form](text.removeprefix("\ufeff"))
    return crystal.numbers.tolist(), crystal.frac.tolist(), crystal.lattice.tolist()
