"""Cells of tables that people open in a spreadsheet."""

from __future__ import annotations

# What starts a formula in some spreadsheet, and the mark that turns a formula into text.
_FORMULAS = tuple("=+-@|%\t\r\n\uff1d\uff0b\uff0d\uff20'")


def spreadsheet_safe(cell: object) -> object:
    """A cell that no spreadsheet runs as a formula: an apostrophe is put before one.

    An apostrophe is also put before an apostrophe, so that removing the first restores the cell.
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULAS) else cell
