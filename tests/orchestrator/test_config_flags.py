"""The command line: presets, sub-grids, and one line for whatever is wrong with it. No Ray."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.grid.arrays import GridArray, arrays
from orchestrator.grid.config import MIXINGS
from orchestrator.grid.request import Options, build_config
from orchestrator.hybrid_grid.flags import parse
from orchestrator.interface.errors import UsageError
from tests.orchestrator.small_data import cells_of
from tests.orchestrator.small_grids import grid
from trainables.models.mixing import Mixing
from trainables.models.options import MEGNetOptions

ROOT = Path(__file__).resolve().parents[2]


def sizes(*flags: str) -> tuple[int, int]:
    """Models and arrays of a command line."""
    return len(cells_of(parse(flags).config)), len(grouped(*flags))


def grouped(*flags: str) -> list[GridArray]:
    return arrays(cells_of(parse(flags).config))


# ------------------------------------------------------------------------- presets and sub-grids


def test_paper_is_the_grid_of_the_thesis() -> None:
    assert sizes("--preset", "paper") == (2240, 320)
    config = parse(["--preset", "paper"]).config
    assert len(config.tasks) == 8
    assert (config.recipe, config.epochs, config.select_on) == ("paper", None, "validation")
    assert config.dims == (8, 16, 32, 64)
    assert config.mixing == ("H", "-4", "-2", "0", "2", "4", "L")
    found = cells_of(config)
    assert all(cell.spec.recipe.epochs == 1000 for cell in found)
    assert len({cell.key for cell in found}) == 2240


def test_demo_is_a_small_true_grid_on_the_embedded_crystals() -> None:
    models, count = sizes("--preset", "demo")
    assert (models, count) == (24, 8)
    config = parse(["--preset", "demo"]).config
    assert config.tasks == ("ionic",)
    assert config.recipe == "tuned"
    assert len(config.backbones) == len(config.folds) == len(config.dims) == 2


def test_without_a_preset_all_but_tasks_recipe_and_its_mixings_is_the_thesis() -> None:
    config = parse(["--tasks", "phonons"]).config
    paper = parse(["--preset", "paper"]).config
    assert (config.recipe, config.mixing) == ("tuned", ("H", "-1.6", "-0.8", "0", "L"))
    assert parse(["--tasks", "phonons", "--recipe", "paper"]).config.mixing == MIXINGS
    assert parse(["--preset", "paper", "--recipe", "tuned"]).config.mixing == MIXINGS
    same = {"tasks": paper.tasks, "recipe": "paper", "mixing": MIXINGS}
    assert config.model_copy(update=same) == paper


@pytest.mark.parametrize(
    ("flags", "models", "count"),
    [
        (("--preset", "paper", "--folds", "0"), 448, 64),
        (("--preset", "paper", "--tasks", "phonons", "--backbones", "megnet"), 140, 20),
        (("--preset", "paper", "--dims", "16", "64", "--mixing", "H", "0", "L"), 480, 160),
        (("--preset", "demo", "--mixing", "L"), 8, 8),
        (("--tasks", "ionic", "a.csv:gap", "--dims", "5", "--folds", "4", "2"), 40, 8),
    ],
)
def test_flags_cut_a_sub_grid(flags: tuple[str, ...], models: int, count: int) -> None:
    assert sizes(*flags) == (models, count)


def test_an_array_holds_all_mixings_of_its_cell() -> None:
    for array in grouped("--preset", "paper", "--tasks", "phonons"):
        assert tuple(array.spec.mixings) == MIXINGS
        assert len(set(array.spec.mixings.values())) == len(MIXINGS)


def test_epochs_and_patience_change_the_recipe_of_every_cell() -> None:
    config = parse(["--preset", "demo", "--epochs", "7", "--patience", "3"]).config
    recipes = {cell.spec.recipe for cell in cells_of(config)}
    assert {(recipe.epochs, recipe.patience) for recipe in recipes} == {(7, 3)}


def test_conv_width_is_cgcnns_alone() -> None:
    config = parse(["--preset", "demo", "--conv-width", "24"]).config
    models = [cell.spec for cell in cells_of(config)]
    assert {model.options.node_width(5) for model in models if model.backbone == "cgcnn"} == {24}
    assert {model.options for model in models if model.backbone == "megnet"} == {MEGNetOptions()}


# --------------------------------------------------------------------------------------- mixings


@pytest.mark.parametrize(
    ("given", "label"),
    [
        *(("h", "H"), ("L", "L"), (" l ", "L"), ("-2.0", "-2"), ("2", "2"), ("+4", "4")),
        *(("-0", "0"), ("0.0", "0"), ("1e0", "1"), ("0.50", "0.5"), ("-.5", "-0.5"), (3, "3")),
    ],
)
def test_one_mixing_has_one_label(given: object, label: str) -> None:
    assert Mixing.parse(given).label == label


@pytest.mark.parametrize("given", ["q", "", "nan", "inf", "-inf", "31", "HL", "1,5"])
def test_what_is_no_mixing_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="mixing"):
        Mixing.parse(given)


def test_negative_mixings_are_no_flags() -> None:
    config = parse(["--preset", "demo", "--mixing", "-2.0", "h", "-4"]).config
    assert config.mixing == ("-2", "H", "-4")


def test_one_mixing_written_twice_is_a_repeat() -> None:
    with pytest.raises(UsageError, match="--mixing: given twice: 2"):
        parse(["--preset", "demo", "--mixing", "2", "2.0"])


# ----------------------------------------------------------------------------- wrong command lines

WRONG = [
    ((), ("--tasks", "--preset")),
    (("--preset", "dmo"), ("--preset", "dmo", "did you mean demo?")),
    (("--preset", "demo", "--folds", "7"), ("--folds", "7", "0 to 4")),
    (("--preset", "demo", "--folds", "-1"), ("--folds", "-1")),
    (("--preset", "demo", "--folds", "1", "1"), ("--folds", "given twice", "1")),
    (("--preset", "demo", "--dims", "0"), ("--dims", "0", "1 and 4096")),
    (("--preset", "demo", "--dims", "8", "99999"), ("--dims", "99999")),
    (("--preset", "demo", "--dims", "8", "16", "8"), ("--dims", "given twice", "8")),
    (("--preset", "demo", "--dims", "eight"), ("--dims", "eight")),
    (("--preset", "demo", "--mixing", "q"), ("--mixing", "'q'", "H, L")),
    (("--preset", "demo", "--mixing", "nan"), ("--mixing", "nan")),
    (("--preset", "demo", "--backbones", "cgcn"), ("--backbones", "did you mean cgcnn?")),
    (("--preset", "demo", "--tasks", "ionic", "ionic"), ("--tasks", "given twice", "ionic")),
    (("--preset", "demo", "--epochs", "0"), ("--epochs", "0")),
    (("--preset", "demo", "--patience", "-3"), ("--patience", "-3")),
    (("--preset", "demo", "--seed", "-1"), ("--seed", "-1")),
    (("--preset", "demo", "--max-bad", "2"), ("--max-bad", "2")),
    (("--preset", "demo", "--max-atoms", "0"), ("--max-atoms", "0")),
    (("--preset", "demo", "--conv-width", "0"), ("--conv-width", "0")),
    (("--preset", "demo", "--select-on", "tests"), ("--select-on", "did you mean test?")),
    (("--preset", "demo", "--cpus-per-worker", "-1"), ("--cpus-per-worker", "-1")),
    (("--preset", "demo", "--cpus-per-worker", "0"), ("--cpus-per-worker", "more than 0")),
    (("--preset", "demo", "--cpus-per-worker", "inf"), ("--cpus-per-worker", "inf")),
    (("--preset", "demo", "--cpus-per-worker", "nan"), ("--cpus-per-worker", "nan")),
    (("--preset", "demo", "--gpus-per-worker", "-0.5"), ("--gpus-per-worker", "-0.5")),
    (("--preset", "demo", "--gpus-per-worker", "1.5"), ("--gpus-per-worker", "whole")),
    (("--preset", "demo", "--memory-per-worker", "0"), ("--memory-per-worker", "more than 0")),
    (("--preset", "demo", "--memory-per-worker", "nan"), ("--memory-per-worker", "nan")),
    (("--preset", "demo", "--mixings", "H"), ("--mixings", "did you mean --mixing?")),
    (("--preset", "demo", "--dim", "8"), ("--dim", "did you mean --dims?")),
    (("--preset", "demo", "--qqqqqq"), ("--qqqqqq", "--help")),
    (("--preset", "demo", "--lr", "0"), ("--lr", "0.0 is wrong, a rate is")),
    (("--preset", "demo", "--two\nlines"), ("unknown flag: --two lines",)),
    (("--preset", "demo", "--tasks", "./two\nlines"), ("two lines", "no such file")),
    (("--preset", "demo", "--epochs"), ("--epochs", "expected at least one argument")),
    *(
        (("--preset", "demo", flag), (flag, "expected at least one argument"))
        for flag in ("--tasks", "--backbones", "--dims", "--mixing", "--folds")
    ),
    (("--tasks", "no_such.csv"), ("no_such.csv", "no such file")),
    (("--tasks", "phonns"), ("phonns", "did you mean phonons?")),
    (("--tasks", "matbench_steels"), ("steels", "composition task")),
    (("--tasks", "phonons", "--data-dir", "no_such_folder"), ("no_such_folder", "--data-dir")),
]


@pytest.mark.parametrize(("flags", "words"), WRONG, ids=[" ".join(f) or "none" for f, _ in WRONG])
def test_a_wrong_command_line_gets_one_line(
    flags: tuple[str, ...],
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = grid(*flags, "--run", "run")
    assert said.code == 2
    assert said.out == ""
    for word in words:
        assert word in said.error
    assert not any(tmp_path.iterdir()), "a refused command leaves a folder behind"


def test_run_may_not_be_a_file(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    for place in (taken, taken / "below"):
        said = grid("--preset", "demo", "--run", str(place))
        assert said.code == 2
        assert f"--run {place}: cannot be written" in said.error
    assert taken.read_text() == "mine"


def test_run_must_be_writable() -> None:
    # /proc takes no folders from anyone, not even from root
    said = grid("--preset", "demo", "--run", "/proc/elemgrid")
    assert said.code == 2
    assert "--run /proc/elemgrid: cannot be written" in said.error


def test_a_refused_command_leaves_a_folder_that_was_there(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "notes").mkdir(parents=True)
    (run / "notes" / "mine.txt").write_text("mine")
    assert grid("--tasks", "no_such.csv", "--run", str(run)).code == 2
    assert (run / "notes" / "mine.txt").read_text() == "mine"


def test_as_a_program_there_is_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "orchestrator.hybrid_grid",
            "--tasks",
            "nowhere/x.csv",
            "--run",
            "r",
        ],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "error: nowhere/x.csv: no such file or folder; check the path\n"


# ------------------------------------------------------------------------------------------- help


def test_help_explains_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    body = text[text.index("options:") :]
    flags = re.findall(r"^  (--[\w-]+)", body, re.MULTILINE)
    assert len(flags) == 46
    for flag in flags:
        entry = body[body.index(f"  {flag}") :].splitlines()
        described = " ".join(entry[0].split()[1:] + entry[1].split())
        assert len(described) > 20, f"{flag} has no text: {described!r}"
    for word in ("ionic", "phonons", "2240", "exit status", "0 1 2 3 4", "8 16 32 64"):
        assert word in text


def test_seeds_may_be_spelt_as_in_transfer() -> None:
    flags = ["--preset", "demo", "--seeds", "3", "1"]
    assert parse(flags).config.seed == (3, 1) == parse([*flags[:2], "--seed", "3", "1"]).config.seed


def test_defaults_that_matter() -> None:
    options = parse(["--preset", "demo"])
    assert isinstance(options, Options)
    assert (options.worker.cpus, options.worker.gpus, options.worker.device) == (1.0, 0.0, "cpu")
    assert options.address is None
    assert not (options.dry_run or options.extend or options.retry_failed)
    assert parse(["--preset", "demo", "--gpus-per-worker", "0.25"]).worker.device == "cuda"
    assert options.worker.memory is None
    assert parse(["--preset", "demo", "--memory-per-worker", "1.5"]).worker.memory == 1.5


def test_a_configuration_does_not_change() -> None:
    config = build_config("demo", {})
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"colour": 1}, "'colour' is no setting of a grid; there are tasks, backbones"),
        ({"mixings": ["H"]}, "'mixings' is no setting of a grid; did you mean 'mixing'"),
        ({"max_atom": 9}, "did you mean 'max_atoms'"),
        ({"dims": ()}, "--dims: is empty; give one value at least"),
        ({"mixing": []}, "--mixing: is empty"),
        ({"folds": ()}, "--folds: is empty"),
        ({"tasks": ()}, "--tasks: is empty"),
        ({"backbones": ()}, "--backbones: is empty"),
        ({"mixing": 5}, "--mixing: 5 is wrong, it must be a list"),
        ({"dims": "much"}, "--dims: 'much' is wrong, it must be"),
    ],
)
def test_settings_that_are_wrong(given: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_config("demo", given)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--heads", "5"], "tensor: heads 5: must divide the width, 32"),
        (
            ["--invariant-layers", "9"],
            "tensor: invariant_layers 9: must be fewer than all layers, 3",
        ),
    ],
)
def test_options_that_do_not_go_together_are_one_line(flags: list[str], message: str) -> None:
    command = ["--tasks", "ionic", "--backbones", "tensor", *flags, "--dry-run"]
    with pytest.raises(UsageError, match=message):
        cells_of(parse(command).config, "data")
