"""An order of the elements given by the user: a file, or the name of a known order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analysis.elements import NUMBERS, SYMBOLS
from analysis.scale.fidelity import MODIFIED_PETTIFOR, known_scales
from analysis.scale.replaceability import Replaceability
from orchestrator.data.replaceability import atomic_numbers, cells_of
from orchestrator.element_scale.flags import MOD_PETTI
from orchestrator.interface.errors import UsageError


def read_order(path: Path) -> list[int]:
    """Reads atomic numbers from a file with one symbol per line, or with a column `symbol`."""
    rows = [row for row in cells_of(path) if row]
    header = [cell.lower() for cell in rows[0]] if rows else []
    column, first = (header.index("symbol"), 2) if "symbol" in header else (0, 1)
    rows = rows[first - 1 :]
    if not rows:
        raise UsageError(f"{path}: no element in it; one symbol a line is wanted")
    cells = [row[column] if len(row) > column else "" for row in rows]
    return atomic_numbers(path, first, cells, down=True)


def named_order(order: str, known: Replaceability, leave_out: Sequence[str]) -> np.ndarray:
    """Atomic numbers in the requested order.

    An order from a file must have every element with relations; it may have more. From the
    modified Pettifor order, elements without data are left out.
    """
    unwanted = {NUMBERS[symbol] for symbol in leave_out}
    wanted = {int(z) for z in known.numbers} - unwanted
    if order == MOD_PETTI:
        places = known_scales()[MODIFIED_PETTIFOR]
        return np.array(sorted(wanted & set(places), key=places.__getitem__))
    path = Path(order)
    if not path.is_file():
        raise UsageError(f"--order {order}: no such file; give mds, {MOD_PETTI} or a file")
    numbers = [z for z in read_order(path) if z not in unwanted]
    missing = sorted(wanted - set(numbers) - set(known.isolated))
    if missing:
        names = " ".join(SYMBOLS[z] for z in missing)
        raise UsageError(
            f"{path}: {names} have replaceabilities and no place in this order; add them, or do"
            f" without: --leave-out {names}"
        )
    return np.array(numbers)
