"""The script that says how close atoms come in real crystals."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from scripts import closest_contacts

POSCAR = "one\n1.0\n{0} 0 0\n0 {0} 0\n0 0 {0}\n{1}\n1\nDirect\n0 0 0\n"


def test_a_crystal_without_a_contact_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "few.csv"
    texts = [POSCAR.format(9, "Xe"), POSCAR.format(3, "Po"), "nothing"]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["poscar", "y"], *([text, "1"] for text in texts)])
    monkeypatch.setattr(sys, "argv", ["closest_contacts.py", f"{path}:*"])
    closest_contacts.main()
    assert capsys.readouterr().out == "| few | 2 | 1 | 1.034 (Po–Po 3.00 Å) |\n"
