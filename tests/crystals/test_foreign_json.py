"""JSON that names Python modules: refused, and nothing of it is imported or run."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trainables.crystals.crystal import BadCrystal, Entry
from trainables.crystals.parsing import parse

GOOD: dict[str, Any] = {
    "@module": "pymatgen.core.structure",
    "@class": "Structure",
    "lattice": {"matrix": [[4, 0, 0], [0, 4, 0], [0, 0, 4]]},
    "sites": [{"species": [{"element": "Na", "occu": 1}], "abc": [0, 0, 0]}],
}
FOREIGN = {"@module": "canary_module", "@class": "Canary"}


def places() -> list[dict[str, Any]]:
    site = GOOD["sites"][0]
    return [
        {**GOOD, "@module": "canary_module"},
        {**GOOD, "properties": FOREIGN},
        {**GOOD, "sites": [{**site, "properties": {"magmom": [[FOREIGN]]}}]},
        {**GOOD, "sites": [{**site, "species": [{**FOREIGN, "element": "Na", "occu": 1}]}]},
        {**GOOD, "lattice": {**GOOD["lattice"], **FOREIGN}},
        {**GOOD, "@module": "pymatgen.core.structure.canary_module"},
        {**GOOD, "@module": ["canary_module"]},
        {**GOOD, "@module": None},
    ]


def refusal(text: str) -> str:
    with pytest.raises(BadCrystal) as caught:
        parse(Entry(0, "x", "json", text, "1", "x:1"))
    return str(caught.value)


@pytest.mark.parametrize("place", range(len(places())))
def test_foreign_module_is_named_and_refused_wherever_it_stands(place: int) -> None:
    data = places()[place]
    reason = refusal(json.dumps(data))
    assert reason.startswith("foreign JSON")
    assert "canary_module" in reason or data["@module"] is None


def test_an_escaped_key_hides_nothing() -> None:
    text = json.dumps({**GOOD, "properties": FOREIGN})
    hidden = text.replace('"properties": {"@module"', '"properties": {"\\u0040module"')
    assert hidden != text
    assert refusal(hidden).startswith("foreign JSON")


def test_callable_is_refused() -> None:
    data = {**GOOD, "properties": {"@callable": "system", "@bound": None}}
    assert "@callable" in refusal(json.dumps(data))


def test_allowed_modules_are_read() -> None:
    site = {**GOOD["sites"][0], "@module": "pymatgen.core.sites"}
    lattice = {**GOOD["lattice"], "@module": "pymatgen.core.lattice"}
    data = {**GOOD, "sites": [site], "lattice": lattice}
    assert parse(Entry(0, "x", "json", json.dumps(data), "1", "x:1")).numbers.tolist() == [11]


def test_nothing_is_imported_or_run(tmp_path: Path) -> None:
    """A canary on the path would leave a file if anything imported it; pymatgen stays out too."""
    mark = tmp_path / "touched"
    (tmp_path / "canary_module.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    (tmp_path / "rows.json").write_text(json.dumps([json.dumps(data) for data in places()]))
    program = (
        "import json, sys\n"
        "from trainables.crystals.crystal import BadCrystal, Entry\n"
        "from trainables.crystals.parsing import parse\n"
        f"rows = json.load(open({str(tmp_path / 'rows.json')!r}))\n"
        "refused = 0\n"
        "for row in rows:\n"
        "    try: parse(Entry(0, 'x', 'json', row, '1', 'x:1'))\n"
        "    except BadCrystal: refused += 1\n"
        "foreign = {'canary_module', 'pymatgen', 'monty'} & set(sys.modules)\n"
        "print(refused, sorted(foreign))\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root,
        env={"PYTHONPATH": f"{root}:{tmp_path}", "PATH": ""},
    )  # fmt: skip
    assert done.stdout.split("\n")[0] == f"{len(places())} []"
    assert not mark.exists()
    # The canary would have sung: it does when it is imported.
    subprocess.run([sys.executable, "-c", "import canary_module"], cwd=tmp_path, check=True)
    assert mark.exists()
