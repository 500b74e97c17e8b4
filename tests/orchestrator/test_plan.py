"""`--dry-run`: prints cells, what is done and an estimate; downloads, trains and writes nothing."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from pathlib import Path

import pytest

from orchestrator.data import featurise as job
from orchestrator.data.shard_writer import ShardWriter
from orchestrator.data.targets import targets_of
from orchestrator.grid.arrays import arrays
from orchestrator.grid.cells import cells
from orchestrator.grid.inputs import fingerprints
from orchestrator.hybrid_grid.flags import parse
from orchestrator.planning.machine import Machine, looking_around
from orchestrator.planning.work import look
from orchestrator.runs.records import Records
from orchestrator.runs.run_directory import locked
from tests.orchestrator.small_grids import Said, digests, grid, rows, write_matbench
from tests.packages_for_tests import install
from trainables.crystals.sources import Source, open_source
from trainables.models.backbones import BACKBONES, representations
from trainables.representations import shards
from trainables.representations.featurise import featurise

SPAN = r"(<1 s|\d+ s|\d+ min \d\d s|\d+ h \d\d min|[\d ]+ h)"


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is empty, and any access to the network raises."""
    monkeypatch.setenv("ELEMGRID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("urllib.request.OpenerDirector.open", _refuse)


def _refuse(*args: object, **more: object) -> None:
    raise AssertionError("a dry run downloads")


@pytest.fixture(scope="module")
def machine() -> Machine:
    with looking_around() as found:
        return found()


@pytest.fixture(autouse=True)
def machine_seen_before(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking around takes a Python of its own; the plan that is read in full does it itself."""
    seen = nullcontext(lambda: machine)
    monkeypatch.setattr("orchestrator.hybrid_grid.plan.looking_around", lambda: seen)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_matbench(tmp_path / "tiny.json.gz", rows(60))


def dry(data: Path, run: Path, *flags: str) -> Said:
    return grid("--tasks", str(data), "--run", str(run), "--dry-run", *flags)


ONE = ("--backbones", "cgcnn", "--dims", "4", "--mixing", "H", "L", "--folds", "0")  # array


def featurised(source: Source, folder: Path) -> None:
    """The files that the job would make from a source, made without Ray."""
    kinds = representations(BACKBONES)
    entries = list(source.entries())
    result = featurise(entries, kinds, 1000)
    for kind in kinds:
        writer = ShardWriter(folder / kind.name, kind.columns)
        ids, places = [entry.id for entry in entries], [entry.row for entry in entries]
        writer.add(shards.to_table(ids, places, result.target, result.graphs[kind.name]))
        identity = job._identity(job._made_from(source, 1000), kind)
        writer.close({**identity, "total": len(entries), "bad": 0})


def cells_of(said: Said, name: str) -> list[str]:
    """The columns of the first line that a table has of something."""
    found = (re.split(r"  +", line.strip(" ▸")) for line in said.out.splitlines())
    return next(cells for cells in found if cells[0] == name and len(cells) > 4)


def paragraph(said: Said, label: str, after: str = "") -> str:
    """The text after a label, from the first line that starts with it, joined to one line."""
    lines = said.out.splitlines()
    top = next(number for number, line in enumerate(lines) if line.startswith(after))
    start = next(n for n in range(top, len(lines)) if lines[n].startswith(f"  {label} "))
    text = [lines[start].removeprefix(f"  {label}").strip()]
    for line in lines[start + 1 :]:
        if line[:8].strip() or not line:
            break
        text.append(line.strip())
    return " ".join(text)


# ----------------------------------------------------------------------- one plan, in full


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Said:
    """For data that is here and data that is not, on this machine and on GPUs."""
    folder = tmp_path_factory.mktemp("plan")
    data = write_matbench(folder / "tiny.json.gz", rows(60))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ELEMGRID_CACHE", str(folder / "cache"))
        patch.setattr("urllib.request.OpenerDirector.open", _refuse)
        before = digests(folder)
        said = grid(
            *("--tasks", str(data), "phonons", "--run", str(folder / "run"), "--dry-run"),
            *("--dims", "4", "8", "--mixing", "H", "0", "L", "--folds", "0", "1"),
            *("--recipe", "paper", "--patience", "99"),
            *("--plan-gpus", "2", "--plan-gpu-model", "H200"),
        )
        assert digests(folder) == before, "a dry run leaves files behind"
        assert not (folder / "run").exists()
    assert said.code == 0 and said.err == ""
    return said


def test_the_data_sets_stand_in_the_order_of_their_time(plan: Said) -> None:
    assert plan.out.splitlines()[0] == "48 models in 16 arrays; 0 are recorded"
    assert cells_of(plan, "data set")[1:] == [
        *("crystals", "models", "arrays", "recorded", "model-epochs"),
        *("worker time", "share", "memory"),
    ]
    tiny, phonons = cells_of(plan, "tiny"), cells_of(plan, "phonons")
    assert tiny[1:6] == ["60", "24", "8", "0", "24 000"]
    assert phonons[1:6] == ["1 265", "24", "8", "0", "24 000"]
    assert re.fullmatch(SPAN, tiny[6]) and re.fullmatch(f"~{SPAN}", phonons[6])
    assert plan.out.index("▸ phonons ") < plan.out.index("  tiny ")
    assert re.search(r"^phonons dominates: (8|9)\d % of the time\.$", plan.out, re.MULTILINE)
    assert all(re.fullmatch(r"[\d.]+ (M|G)iB", cells[8]) for cells in (tiny, phonons))


def test_every_configuration_has_a_line(plan: Said) -> None:
    for name in ("cgcnn d4", "cgcnn d8", "megnet d4", "megnet d8"):
        cells = cells_of(plan, name)
        assert cells[1] == "4"  # two data sets, two folds
        assert re.fullmatch(r"[\d.]+ m?s", cells[2])
        assert re.fullmatch(SPAN, cells[3]) and re.fullmatch(SPAN, cells[4])


def test_time_lies_between_the_patience_and_the_last_epoch(plan: Said) -> None:
    text = paragraph(plan, "time", "This machine")
    found = re.fullmatch(
        rf"at most {SPAN}, if every model goes to its last epoch; at least {SPAN}, for early"
        r" stopping waits 99 epochs",
        text,
    )
    assert found, text
    assert 8 < seconds(found[1]) / max(1, seconds(found[2])) < 12.5


def seconds(span: str) -> int:
    units = {"h": 3600, "min": 60, "s": 1}
    found = re.findall(r"(\d[\d ]*) (h|min|s)", span)
    return sum(int(number.replace(" ", "")) * units[unit] for number, unit in found)


def test_memory_and_disk_are_told(plan: Said) -> None:
    memory = paragraph(plan, "memory", "This machine")
    assert re.match(r"[\d.]+ (M|G)iB a worker with phonons/fold\d/megnet/d\d \(", memory), memory
    assert "together with the driver" in memory
    assert re.match(r"[\d.]+ MiB of records", paragraph(plan, "disk"))


def test_cards_that_are_not_here_are_said_to_be_predicted(plan: Said) -> None:
    head = "2 × h200 (141 GB, 4 800 GB/s, 67 TFLOP/s each): predicted by a roofline model"
    assert f"\n{head}, not measured\n" in plan.out
    assert re.match(rf"at most {SPAN}, at least {SPAN}, with", paragraph(plan, "time", "2 × h200"))
    assert "of a card's 131.3 GiB" in paragraph(plan, "memory", "2 × h200")
    assert re.fullmatch(r"\d+ CPUs for \d+ workers", paragraph(plan, "hosts"))
    assert "µs to launch" in paragraph(plan, "assumed", "2 × h200")


def test_what_is_assumed_is_called_assumed(plan: Said) -> None:
    measured = paragraph(plan, "measured")
    assert measured.startswith("a few epochs of 4 configurations on some crystals of tiny, in ")
    assumed = paragraph(plan, "assumed", "What this rests on")
    assert assumed == "nodes and edges a crystal, as counted once: phonons 22"


def test_no_line_is_too_long(plan: Said) -> None:
    assert max(map(len, plan.out.splitlines())) <= 100


# ------------------------------------------------------------------------- what is recorded


def test_a_search_is_planned_like_a_grid(data: Path, tmp_path: Path) -> None:
    flags = ("--mixing", "H", "L", "--folds", "0", "1", "--epochs", "5", "--backbones", "cgcnn")
    search = ("--strategy", "random", "--budget", "3", "--dims", "4..6", "--lr", "1e-3..1e-2")
    said = dry(data, tmp_path / "run", *flags, *search)
    assert said.code == 0 and "6 models in 6 arrays; 0 are recorded" in said.out
    assert "cgcnn d" in said.out and not (tmp_path / "run").exists()


def test_the_plan_of_a_strategy_says_that_there_may_be_more(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    halving = "tests.extensions.halving:Halving"
    install(tmp_path, "strangers", group="elemgrid.strategies", halving=halving)
    monkeypatch.syspath_prepend(tmp_path)
    flags = ("--strategy", "halving", "--budget", "20", "--lr", "1e-4..1e-2")
    said = dry(data, tmp_path / "run", *ONE, *flags)
    assert "9 models in" in said.out
    assert "--strategy halving may propose more once these are trained" in said.out
    assert "may propose" not in dry(data, tmp_path / "run", *ONE).out


def test_what_is_recorded_is_counted_and_not_estimated(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    flags = ("--dims", "4", "--mixing", "H", "L", "--folds", "0", "--epochs", "5")
    source = open_source(data)
    featurised(source, run / "shards" / "tiny")
    config = parse(["--tasks", str(data), *flags]).config
    fingerprints = {}
    for backbone in config.backbones:
        folder = run / "shards" / "tiny" / BACKBONES[backbone].representation.name
        manifest = json.loads((folder / shards.MANIFEST).read_text())
        fingerprints[str(data), backbone] = manifest["fingerprint"]
    planned = cells(config, targets_of({str(data): source}), fingerprints)
    models = {
        (cell.spec.backbone, cell.spec.mixing): {"key": cell.key, "spec": cell.spec.text}
        for cell in planned
    }
    records = Records(run / "records")
    for backbone, mixing in (("cgcnn", "H"), ("cgcnn", "L"), ("megnet", "H")):
        records.write(models[backbone, mixing] | {"status": "done"}, {})
    before = digests(run)
    said = dry(data, run, *flags)
    assert "4 models in 2 arrays; 3 are recorded" in said.out
    assert cells_of(said, "tiny")[1:6] == ["60", "4", "2", "3", str(1 * 5)]
    assert cells_of(said, "megnet d4")[1] == "1" and "cgcnn d4" not in said.out
    assert digests(run) == before

    records.write(models["megnet", "L"] | {"status": "failed", "error": "why"}, {})
    assert dry(data, run, *flags).out.splitlines()[1:] == ["nothing is left to train"]
    again = dry(data, run, *flags, "--retry-failed")
    assert "4 models in 2 arrays; 3 are recorded" in again.out
    assert cells_of(again, "megnet d4")[1] == "1"

    # other crystals in the file: what was recorded is not of them
    write_matbench(data, rows(60, start=5))
    assert "4 models in 2 arrays; 0 are recorded" in dry(data, run, *flags).out


@pytest.mark.parametrize("hidden", ["", "NaCl"], ids=["all", "without"])
def test_the_plan_and_the_job_have_the_same_keys(data: Path, tmp_path: Path, hidden: str) -> None:
    run, more = tmp_path / "run", []
    if hidden:
        (tmp_path / "hidden.txt").write_text(hidden)
        more = ["--without", str(tmp_path / "hidden.txt")]
    options = parse(["--tasks", str(data), "--run", str(run), *ONE[:-2], *more])
    source = open_source(data)
    featurised(source, run / "shards" / "tiny")
    config = options.config.model_copy(update={"tasks": ("tiny",)})
    kinds = [BACKBONES["cgcnn"].representation]
    found = job.featurised_before(
        source, kinds, run / "shards" / "tiny", max_atoms=config.max_atoms
    )
    assert found is not None
    printed = fingerprints(config, {"tiny": found})
    expected = arrays(cells(config, targets_of({"tiny": source}), printed))
    assert look(options).planned == expected


def test_damaged_shards_are_planned_from_the_source(data: Path, tmp_path: Path) -> None:
    """The job would make them again."""
    with locked(tmp_path / "run"):
        featurised(open_source(data), tmp_path / "run" / "shards" / "tiny")
    for path in (tmp_path / "run").rglob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-100])
    said = dry(data, tmp_path / "run", *ONE)
    assert said.code == 0 and "0 are recorded" in said.out


# ------------------------------------------------------------------------ what is not here


def test_data_that_are_not_here_are_planned_by_what_is_known(tmp_path: Path) -> None:
    run = tmp_path / "run"
    said = grid("--preset", "paper", *ONE, "--run", str(run), "--dry-run")
    assert said.code == 0 and said.err == ""
    assert "16 models in 8 arrays; 0 are recorded" in said.out
    assert cells_of(said, "mp_e_form")[1:3] == ["132 752", "2"]
    assert said.out.index("▸ mp_e_form") < said.out.index("▸ mp_gap") < said.out.index("jdft2d")
    assert "mp_e_form and mp_gap dominate: " in said.out
    assert "on some crystals of ionic, in " in paragraph(said, "measured")
    text = " ".join(said.out.split())
    assert "as counted once: phonons 22 and perovskites 27" in text
    assert "mp_gap and mp_e_form: not here, so crystals like those of phonons (22 nodes" in text
    assert not list(tmp_path.iterdir())


def test_the_estimate_is_of_the_whole_data_and_all_epochs(data: Path, tmp_path: Path) -> None:
    short, long = (
        cells_of(dry(data, tmp_path / "run", *ONE, "--epochs", epochs), "tiny")
        for epochs in ("2", "9999999")
    )
    assert re.fullmatch(r"(<1|\d) s", short[6])
    assert seconds(long[6]) > 36000


# ------------------------------------------------------------------- what will go wrong


def test_a_broken_file_is_one_line(tmp_path: Path) -> None:
    path = write_matbench(tmp_path / "cut.json.gz", rows(36))
    path.write_bytes(path.read_bytes()[:-500])
    said = dry(path, tmp_path / "run")
    assert said.code == 2 and str(path) in said.error


def test_bad_crystals_alone_are_refused(tmp_path: Path) -> None:
    path = write_matbench(tmp_path / "bad.json.gz", [({}, y) for _, y in rows(20)])
    said = dry(path, tmp_path / "run")
    assert said.code == 2
    assert "bad: all 20 crystals that were looked at are bad, the first (bad.json.gz:1) for no" in (
        said.error
    )


def test_a_data_folder_that_is_none(data: Path, tmp_path: Path) -> None:
    said = dry(data, tmp_path / "run", "--data-dir", str(data))
    assert said.code == 2 and f"{data}: --data-dir is not a folder" in said.error


def test_a_handful_of_crystals_gets_no_estimate(tmp_path: Path) -> None:
    path = write_matbench(tmp_path / "few.json.gz", rows(6))
    said = dry(path, tmp_path / "run", "--folds", "0", "--dims", "4")
    assert said.code == 0
    assert cells_of(said, "few")[6:] == ["–", "–", "–"]
    assert paragraph(said, "careful") == "few: 6 good crystals, and the job wants 10"
    assert "This machine" not in said.out


def test_bad_crystals_machines_and_clusters_are_warned_of(tmp_path: Path) -> None:
    mixed = [(None if row % 4 == 0 else crystal, y) for row, (crystal, y) in enumerate(rows(40))]
    path = write_matbench(tmp_path / "mixed.json.gz", mixed)
    said = dry(
        *(path, tmp_path / "run", *ONE, "--epochs", "2", "--cpus-per-worker", "5000"),
        *("--memory-per-worker", "1e-6", "--address", "10.0.0.1:6379"),
    )
    assert said.code == 0
    text = " ".join(said.out.split())
    assert "10 of 40 crystals that were looked at are bad, and the job stops above 1 %" in text
    assert "no worker fits; lower --cpus-per-worker" in text
    assert "mixed (cgcnn): too large for a worker's memory, so streamed from shards" in text
    assert "the cluster at 10.0.0.1:6379 was not asked" in text


# ----------------------------------------------------------------------------------- flags


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--plan-gpus", "8"], ["--plan-gpus", "add --dry-run"]),
        (["--plan-gpu-model", "h100"], ["--plan-gpu-model", "add --dry-run"]),
        (["--dry-run", "--plan-gpus", "8"], ["name the cards too", "--plan-gpu-model h200"]),
        (
            ["--dry-run", "--plan-gpus", "0", "--plan-gpu-model", "t4"],
            ["--plan-gpus: 0 is wrong", "at least 1"],
        ),
        (["--dry-run", "--plan-gpus", "x"], ["--plan-gpus", "'x'"]),
        (["--dry-run", "--plan-gpu-model", "h20"], ["'h20'", "did you mean h200?"]),
        (["--dry-run", "--plan-gpu-model", "RTX4900"], ["did you mean rtx4090?"]),
    ],
)
def test_what_is_wrong_with_the_cards_is_one_line(flags: list[str], words: list[str]) -> None:
    said = grid("--preset", "demo", *flags)
    assert said.code == 2 and said.out == ""
    assert all(word in said.error for word in words), said.error


def test_one_card_is_meant_where_no_number_is_given() -> None:
    options = parse(["--preset", "demo", "--dry-run", "--plan-gpu-model", "L40S"])
    assert options.plan_gpus == ("l40s", 1)
    assert parse(["--preset", "demo", "--dry-run"]).plan_gpus is None
