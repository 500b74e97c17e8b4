"""The form of a target's cells: numbers, words, lists, several columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from trainables.crystals.crystal import BadCrystal, Entry, one_line
from trainables.crystals.targets import KindName, is_missing, with_point

CLASSES = ("false", "true")  # as `read_target` parses them


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The form of a target's cells.

    Attributes:
        kind: of the target; two distinct numbers turn out to be classes only when all are read.
        shape: of a value.
        commas: for each column, whether its commas are decimal.
        classes: the words, in lower case, that stand for the classes 0 and 1; None for no words.
    """

    kind: KindName = "scalar"
    shape: tuple[int, ...] = ()
    commas: tuple[bool, ...] = (False,)
    classes: tuple[str, str] | None = None

    def text(self, cells: Sequence[str]) -> str:
        """What a row's cells state, as the target's kind parses it.

        Raises:
            BadCrystal: a cell has a point among decimal commas, or is neither of two words.
        """
        if self.classes is not None:
            return self._class_of(cells[0], self.classes)
        pairs = zip(cells, self.commas, strict=True)
        pointed = [with_point(cell) if commas else cell for cell, commas in pairs]
        return json.dumps(pointed) if self.kind == "properties" else pointed[0]

    def entry(
        self,
        row: int,
        name: str,
        form: str,
        text: str,
        cells: Sequence[str] | None,
        origin: str,
    ) -> Entry:
        """A row of a source, with the target that its cells state; bad if they state none.

        Args:
            cells: of the target's columns; None if only crystals are requested.
        """
        if cells is None:
            return Entry(row, name, form, text, None, origin)
        try:
            return Entry(row, name, form, text, self.text(cells), origin)
        except BadCrystal as bad:
            return Entry(row, name, "bad", str(bad), cells[0], origin)

    @staticmethod
    def _class_of(cell: str, classes: tuple[str, str]) -> str:
        if is_missing(cell):
            return cell
        word = cell.strip().casefold()
        if word not in classes:
            named = " nor ".join(map(repr, classes))
            raise BadCrystal(f"target is neither {named}: {one_line(word, 30)!r}")
        return CLASSES[classes.index(word)]


NUMBERS = Cells()
