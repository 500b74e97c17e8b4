"""Folders and files that are not ours: refused in one line, and never touched. No Ray."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.tables import PLAIN
from orchestrator.contrast import files as of_contrast
from orchestrator.data import withheld
from orchestrator.dos import files as of_dos
from orchestrator.element_groups import files as of_groups
from orchestrator.element_scale import files as of_scale
from orchestrator.ensemble import files as of_ensemble
from orchestrator.hybrid_grid.tables import TABLE_DIMS
from orchestrator.interface.errors import UsageError
from orchestrator.jobs import JOBS
from orchestrator.runs import durable, layout, ownership
from orchestrator.runs.checkpoints import Checkpoints
from orchestrator.runs.records import Records
from orchestrator.runs.run_directory import locked, write_manifest
from orchestrator.training.runners import EXPERIMENT
from orchestrator.transfer import files as of_transfer
from tests.orchestrator.foreign_files import listing, plant, seen, trees
from tests.orchestrator.small_records import arrays, row


def refused(run: Path) -> str:
    with pytest.raises(UsageError) as caught, locked(run):
        pass
    (line,) = str(caught.value).splitlines()
    return line


STARTS: dict[str, Callable[[Path], int]] = {
    "hybrid_grid": lambda run: JOBS["hybrid_grid"].main(["--preset", "demo", "--run", str(run)]),
    "transfer": lambda run: JOBS["transfer"].main(
        ["--tasks", str(run.parent / "gaps.csv"), "--tables", "mat2vec", "--run", str(run)]
    ),
    "element_scale": lambda run: JOBS["element_scale"].main(["--run", str(run)]),
    "dry element_scale": lambda run: JOBS["element_scale"].main(["--run", str(run), "--dry-run"]),
    "report": lambda run: JOBS["report"].main([str(run)]),
    "ensemble": lambda run: JOBS["ensemble"].main([str(run)]),
    "element_groups": lambda run: JOBS["element_groups"].main([str(run)]),
}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", "mine"),
        (".x.tmp", "mine"),
        (".lock", "12345\n"),
        ("manifest.json", '{"name": "an app", "start_url": "/"}'),
        ("manifest.json", "[" * 100_000),
        ("scale.meta.json", '{"unit": "kg"}'),
        ("checkpoints/epoch-3.pt", "mine"),
        (".tune/state", "mine"),
        ("records/a.json", '{"artist": "Nina Simone"}'),
        ("shards/0000.tar", "mine"),
        ("report.html", "mine"),
        (".git/config", "mine"),
        (".notes.0123456789abcdef.tmp", "mine"),
    ],
)
def test_what_holds_something_else_is_refused_in_one_line(
    tmp_path: Path, name: str, content: str
) -> None:
    run = tmp_path / "run"
    (path,) = plant(run, {name: (content.encode(), 0o640)})
    before = seen([path]), listing(run)
    first = name.partition("/")[0]
    assert refused(run) in (
        f"--run {run}: holds {first!r} and no manifest of elemgrid's; name a new or an empty"
        " folder, so that nothing of yours is touched",
    )
    assert (seen([path]), listing(run)) == before


@pytest.mark.parametrize("job", STARTS)
def test_every_job_refuses_it(tmp_path: Path, job: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gaps.csv").write_text(
        "formula,gap\n" + "".join(f"Na{n}Cl{m},{n}\n" for n in range(1, 8) for m in range(1, 8))
    )
    run = tmp_path / "run"
    planted = plant(run, {"notes.txt": (b"mine", 0o600), "checkpoints/.x.tmp": (b"", 0o644)})
    before = seen(planted), listing(run)
    code, said = STARTS[job](run), capsys.readouterr()
    assert (seen(planted), listing(run)) == before
    assert code == 2 and len(said.err.splitlines()) == 1, said.err
    assert said.err.startswith("error: ")


def leftover(run: Path) -> None:
    durable.name_draft(run / layout.MANIFEST).write_bytes(b"half")


def only_records(run: Path) -> None:
    (run / "records").mkdir()
    Records(run / "records").write(row("a"), arrays())


def killed_before_its_manifest(run: Path) -> None:
    (run / ".lock").write_bytes(ownership.MARK + b"pid 1 on gone\ntoken 0f machine elsewhen\n")
    (run / "shards" / "salts").mkdir(parents=True)
    os.utime(run / ".lock", (0, 0))


@pytest.mark.parametrize(
    "beginning",
    [
        lambda run: None,
        lambda run: (run / "lost+found").mkdir(mode=0o700),
        lambda run: (run / ".lock").touch(),
        lambda run: (run / ".lock").write_text("pid 17 on node"),
        lambda run: (run / "records").mkdir(),
        leftover,
        only_records,
        lambda run: write_manifest(run, {"config": {}}),
    ],
)
def test_what_a_run_may_begin_in(tmp_path: Path, beginning: Callable[[Path], object]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    beginning(run)
    with locked(run):
        assert not [name for name in listing(run) if name.endswith(".tmp")]
    with locked(run):
        pass


def test_a_driver_of_another_machine_that_has_no_heart_beat_is_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.runs.lease.SILENCE", 0.3)
    killed_before_its_manifest(tmp_path)
    with locked(tmp_path):
        assert (tmp_path / "shards" / "salts").is_dir()


def test_a_run_lies_in_none_of_anothers_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer = tmp_path / "outer"
    write_manifest(outer, {})
    for name in ("shards", "records/x", "checkpoints", ".tune/x"):
        assert "is the run directory" in refused(outer / name)
    assert listing(outer) == ["manifest.json"]
    (tmp_path / "link").symlink_to(outer, target_is_directory=True)
    assert "is the run directory" in refused(tmp_path / "link" / "shards")
    with locked(outer / "mine"), locked(outer):  # each clears away its own
        pass
    assert "holds 'outer' and no manifest" in refused(tmp_path) or "holds 'link'" in refused(
        tmp_path
    )
    monkeypatch.chdir(tmp_path)
    assert "and no manifest" in refused(Path())
    assert "write the folder out" in refused(Path("~"))
    assert "write the folder out" in refused(Path("~/run"))
    monkeypatch.chdir(outer)
    with locked(Path()):
        pass
    with locked(tmp_path / "link"):
        pass


def test_a_lock_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.write_text("mine")
    run = tmp_path / "run"
    write_manifest(run, {})
    (run / ".lock").symlink_to(target)
    assert "cannot be written" in refused(run)
    assert target.read_text() == "mine"


def test_all_names_that_jobs_write_are_known() -> None:
    """So that the drafts of a killed job are removed."""
    written = {
        *(of_transfer.SCORES, of_transfer.FACTS, of_transfer.LEDGER, withheld.FILE),
        *(of_contrast.LEDGER, of_contrast.FACTS),
        *(of_contrast.EMBEDDINGS, of_contrast.PREDICTIONS),
        *(of_dos.LEDGER, of_dos.FACTS, of_dos.PREDICTIONS, of_dos.ELEMENTS),
        *(of_ensemble.PREDICTIONS, of_ensemble.FACTS),
        *(of_groups.GEOMETRY, of_groups.CLUSTERINGS, of_groups.PARTNERS, of_groups.GROUPS),
        *(of_groups.FACTS, of_groups.SCREENING, of_groups.UNTRAINED, of_groups.RELATIONS),
        *(of_scale.POSITIONS, of_scale.EXPORT, of_scale.FRONT, of_scale.PAIRS, of_scale.FACTS),
    }
    assert written < layout.FILES
    for name in ("S", "H", "L"):
        for end in (".csv", ".meta.json"):
            for dim, plain in product(TABLE_DIMS, ("", PLAIN)):
                assert layout.TABLE.fullmatch(f"Mat2Vec-{name}-{dim}{plain}{end}")
    for path in (of_ensemble.RESULTS, of_ensemble.INFO):
        folder, _, name = path.partition("/")
        assert ownership.DRAFTED[folder](name)


def test_what_killed_writers_leave_goes_and_nothing_else(tmp_path: Path) -> None:
    write_manifest(tmp_path, {})
    ours = [
        *("ledger.parquet", "without.txt", "records/0f.json", "records/0f.safetensors"),
        *(f"checkpoints/{'0f' * 12}.snapshot", "tables/Mat2Vec-S-32.csv", "submission/info.json"),
    ]
    for name in ours:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        durable.Draft.of(path, b"half")
    theirs = plant(
        tmp_path,
        {name: (b"mine", 0o600) for name in ("records/.x.tmp", "x/.a.json.0123456789abcdef.tmp",
         "tables/.Mat2Vec-mine.csv.0123456789abcdef.tmp", "shards/.x.0123456789abcdef.tmp")},
    )  # fmt: skip
    before = seen(theirs)
    ownership.sweep(tmp_path)
    assert seen(theirs) == before
    left = [name for name in listing(tmp_path) if (tmp_path / name).is_file()]
    assert len(left) == len(theirs) + 1, left


# ------------------------------------------------------------------------------ any tree and order


def worked(run: Path) -> None:
    """Deletions at the start and the end of a job, and its writes, without the work itself."""
    try:
        with locked(run):
            write_manifest(run, {"config": {}})
            records = Records(run / "records")
            records.folder.mkdir(exist_ok=True)
            records.write(row("a"), arrays())
            Checkpoints(run / layout.CHECKPOINTS).write("array", b"state")
            (run / layout.TUNE / EXPERIMENT).mkdir(parents=True, exist_ok=True)
            ownership.remove_notes(run, EXPERIMENT)
            Checkpoints(run / layout.CHECKPOINTS).forget_all()
            ownership.sweep(run)
    except UsageError:
        pass


def begun(run: Path) -> None:
    try:
        with locked(run):
            durable.name_draft(run / layout.MANIFEST).touch()
    except UsageError:
        pass


COMMANDS: list[Callable[[Path], object]] = [
    *(worked, begun, STARTS["report"], STARTS["ensemble"], STARTS["element_groups"]),
    lambda run: worked(run / "mine"),
    lambda run: (run / layout.MANIFEST).unlink(missing_ok=True),  # as the message says
]


NESTED = 5


@settings(max_examples=40)
@given(
    tree=trees(),
    ours=st.booleans(),
    order=st.lists(st.integers(0, len(COMMANDS) - 1), max_size=4),
)
def test_foreign_files_are_the_same_bits(
    tree: dict[str, tuple[bytes, int]], ours: bool, order: list[int]
) -> None:
    """Any tree, any commands, any order; also where a run was in the folder before them."""
    folder = Path(tempfile.mkdtemp())
    try:
        run = folder / "run"
        if ours:
            worked(run)
        planted = plant(run, tree)
        before, all_before = seen(planted), listing(run)
        for number in order:
            COMMANDS[number](run)
        assert seen(planted) == before
        if not ours and NESTED not in order:
            assert listing(run) == all_before, "something was written beside them"
    finally:
        shutil.rmtree(folder)
