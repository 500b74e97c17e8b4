"""The notebooks of the docs, each executed by Jupyter's own kernel."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent.parent
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
TRAINS = {"first_model"}  # whose numbers depend on how much the machine trains in its minutes


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["elements", "first_model", "own_model"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_gives_what_it_shows(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    book = nbformat.read(path, as_version=4)
    shown = printed(book)
    place = {"metadata": {"path": str(tmp_path)}}
    with tempfile.TemporaryDirectory(dir="/tmp") as sockets:  # a short path
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", sockets)
        # not on ports, on which every user of the machine could ask
        kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=f"{sockets}/socket")
        NotebookClient(book, km=kernel, timeout=300, resources=place).execute()
    assert shown
    if path.stem not in TRAINS:
        assert printed(book) == shown
    else:
        assert len(printed(book)) == len(shown)


def printed(book: nbformat.NotebookNode) -> list[str]:
    """What each cell prints."""
    cells = (cell for cell in book.cells if cell.cell_type == "code")
    texts = (
        "".join(out.text for out in cell.outputs if out.get("name") == "stdout") for cell in cells
    )
    return [text for text in texts if text]
