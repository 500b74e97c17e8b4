"""Valid arguments of --tasks, and the messages for invalid ones."""

import dataclasses
import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from orchestrator.data import naming
from orchestrator.data.datasets import is_here, resolve
from orchestrator.data.naming import user_cache
from orchestrator.interface.errors import UsageError
from tests.serving import serving
from trainables.crystals.ionic import IonicSource
from trainables.crystals.registry import TASKS
from trainables.crystals.sources import CsvTable, MatBench

CONTENT = gzip.compress(
    json.dumps(
        {"index": [0], "columns": ["structure", "last phdos peak"], "data": [[{}, 1.5]]}
    ).encode(),
    mtime=0,
)


def refusal(*arguments: Any) -> str:
    with pytest.raises(UsageError) as caught:
        resolve(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def known_as(monkeypatch: pytest.MonkeyPatch, url: str | None = None) -> None:
    """Let the registry expect CONTENT for phonons, at ``url``."""
    task = dataclasses.replace(TASKS["phonons"], sha256=hashlib.sha256(CONTENT).hexdigest()[:12])
    if url is not None:
        monkeypatch.setattr(type(task), "url", property(lambda _: url))
    monkeypatch.setattr(naming, "TASKS", MappingProxyType({**TASKS, "phonons": task}))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "matbench_phonons.json.gz").write_bytes(CONTENT)
    with serving(folder) as address:
        yield f"{address}/matbench_phonons.json.gz"


def test_ionic() -> None:
    assert isinstance(resolve("ionic", None, None), IonicSource)


@pytest.mark.parametrize("spec", ["phonons", "matbench_phonons"])
def test_a_task_in_the_data_folder(shared_data: Path, tmp_path: Path, spec: str) -> None:
    source = resolve(spec, shared_data, tmp_path)
    assert isinstance(source, MatBench)
    assert (source.name, source.count(), source.unit) == ("phonons", 1265, "cm⁻¹")
    assert list(tmp_path.iterdir()) == []


def test_a_task_is_fetched_once_into_the_cache(
    served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_as(monkeypatch, served)
    cache = tmp_path / "cache"
    source = resolve("phonons", None, cache)
    assert source.count() == 1
    kept = cache / "matbench_phonons.json.gz"
    assert kept.read_bytes() == CONTENT
    # A second call must not need the server; a spoilt file in the cache must.
    (tmp_path / "served" / "matbench_phonons.json.gz").rename(tmp_path / "away")
    assert resolve("phonons", None, cache).count() == 1
    kept.write_bytes(b"spoilt")
    assert "HTTP 404" in refusal("phonons", None, cache)
    (tmp_path / "away").rename(tmp_path / "served" / "matbench_phonons.json.gz")
    assert resolve("phonons", None, cache).count() == 1
    assert kept.read_bytes() == CONTENT


def test_a_data_folder_without_the_file_falls_back_to_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_as(monkeypatch)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "matbench_phonons.json.gz").write_bytes(CONTENT)
    monkeypatch.setenv("ELEMGRID_CACHE", str(tmp_path / "cache"))
    assert resolve("phonons", tmp_path, None).count() == 1


def test_a_wrong_file_in_the_data_folder(tmp_path: Path) -> None:
    path = tmp_path / "matbench_phonons.json.gz"
    path.write_bytes(CONTENT)
    text = refusal("phonons", tmp_path, tmp_path)
    assert str(path) in text
    assert "4db551f21ec5" in text
    # As a path the same file is the user's own business.
    assert resolve(str(path), None, None).count() == 1


@pytest.mark.parametrize("name", ["steels", "expt_gap", "matbench_expt_is_metal", "glass"])
def test_composition_tasks_have_no_crystals(name: str) -> None:
    text = refusal(name, None, None)
    assert "transfer job" in text
    assert "phonons" in text


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("phonon", "did you mean phonons?"),
        ("matbench_log_kvhr", "did you mean log_kvrh?"),
        ("Ionic", "did you mean ionic?"),
        ("zzzz", "known are ionic, jdft2d"),
        ("", "known are ionic, jdft2d"),
        ("mp_is_metal", "give its file, PATH/matbench_mp_is_metal.json.gz"),
        ("matbench_mp_is_metal", "its SHA-256 is not known here"),
        ("nowhere/x.csv", "no such file or folder"),
        ("nowhere/x.csv:gap", "no such file or folder"),
    ],
)
def test_unknown_names(spec: str, words: str) -> None:
    assert words in refusal(spec, None, None)


def test_paths_with_targets(tmp_path: Path) -> None:
    table = "id,cif,gap,energy\na,x,1,2\n"
    plain, odd = tmp_path / "x.csv", tmp_path / "o:dd.csv"
    plain.write_text(table)
    odd.write_text(table)
    for path in (plain, odd):
        source = resolve(f"{path}:energy", None, None)
        assert isinstance(source, CsvTable)
        assert source.target_name == "energy"
    assert "which column" in refusal(str(odd), None, None)
    assert "did you mean 'energy'" in refusal(f"{plain}:enegy", None, None)
    assert "no target after the colon" in refusal(f"{plain}:", None, None)


def test_paths_with_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x=y.csv"
    path.write_text("id,cif,gap,energy\na,x,1,2\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    named = resolve(f"mine={path}:energy")
    assert (named.name, named.target_name) == ("mine", "energy")
    assert resolve("mine=~/x=y.csv:gap").name == "mine"
    assert resolve(f"{path}:gap").name == "x=y"
    assert "no such file" in refusal(f"={path}")


def test_a_source_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "x.csv").touch()
    assert "empty" in refusal(str(tmp_path / "x.csv"), None, None)
    assert "no id_prop.csv" in refusal(str(tmp_path), None, None)


def test_data_dir_must_be_a_folder(tmp_path: Path) -> None:
    assert "not a folder" in refusal("phonons", tmp_path / "none", tmp_path)


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ELEMGRID_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache() == tmp_path / ".cache" / "elemgrid"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert user_cache() == tmp_path / "xdg" / "elemgrid"
    monkeypatch.setenv("ELEMGRID_CACHE", str(tmp_path / "own"))
    assert user_cache() == tmp_path / "own"


def test_a_damaged_file_in_the_cache_is_not_here(tmp_path: Path) -> None:
    (tmp_path / "matbench_phonons.json.gz").write_bytes(b"cut short")
    assert not is_here("phonons", None, tmp_path), "resolve would fetch it again"
    assert is_here("phonons", tmp_path, tmp_path / "empty"), "what is given is never fetched"
    assert is_here("ionic", None, tmp_path)
