"""The inputs of `element_scale`, and the one line for each file that it cannot use."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from analysis.elements import MAX_Z, NUMBERS
from analysis.scale.replaceability import Replaceability, from_counts
from orchestrator.data.replaceability import (
    published_probabilities,
    read_counts,
    read_occurrences,
    read_replaceability,
)
from orchestrator.element_scale.flags import LAMBDAS, parse
from orchestrator.element_scale.orders import named_order, read_order
from orchestrator.interface.errors import UsageError
from orchestrator.jobs import JOBS

LI, NA, K, HE = (NUMBERS[symbol] for symbol in ("Li", "Na", "K", "He"))
GOOD = "element,Li,Na,K\nLi,0,6,0\nNa,6,0,2\nK,0,2,0\n"


def written(folder: Path, text: str, name: str = "counts.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def salts() -> Replaceability:
    counts = np.zeros((MAX_Z + 1, MAX_Z + 1))
    for a, b, times in ((LI, NA, 6), (NA, K, 2)):
        counts[a, b] = counts[b, a] = times
    return from_counts(counts, None)


def test_a_table_with_symbols(tmp_path: Path) -> None:
    counts = read_counts(written(tmp_path, GOOD))
    assert counts.shape == (MAX_Z + 1, MAX_Z + 1)
    assert counts[LI, NA] == counts[NA, LI] == 6 and counts[NA, K] == 2
    assert counts.sum() == 16


def test_the_columns_may_stand_in_another_order(tmp_path: Path) -> None:
    text = ",K,Na,Li\nLi,0,6,0\nNa,2,0,6\nK,0,2,0\n"
    np.testing.assert_array_equal(
        read_counts(written(tmp_path, text)), read_counts(written(tmp_path, GOOD, "b.csv"))
    )


def test_a_bare_matrix_is_by_atomic_number(tmp_path: Path) -> None:
    counts = read_counts(written(tmp_path, "0 0 0 0\n0 0 0 5\n0 0 0 0\n0 5 0 0\n", "counts.dat"))
    assert counts[1, 3] == counts[3, 1] == 5 and counts.sum() == 10


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("0 0 0\n0 0 1\n", "line 1: 3 counts for 2 columns; the matrix must be square"),
        ("0 0 0\n0 0\n0 0 0\n", "line 2: 2 counts"),
        ("0 1\n0 0\n", "row 0 or column 0 holds counts"),
        ("0 0 0\n0 0 x\n0 0 0\n", "line 2: 'x' is no number"),
        (GOOD.replace("6,0,2", "-6,0,2"), "Na replaced by Li is -6"),
        (GOOD.replace("6,0,2", "nan,0,2"), "Na replaced by Li is nan"),
        (GOOD.replace("K,0", "Xx,0"), "line 4: 'Xx' is no element"),
        (GOOD.replace("Na,K\n", "Na,Xx\n"), "line 1: 'Xx' is no element"),
        (GOOD.replace("K,0,2,0", "Na,0,2,0"), "Na is there twice"),
        (GOOD.replace("K,0,2,0", "Rb,0,2,0"), "K has a row or a column, but not both"),
        (GOOD.replace("Na,6,0,2", "Na,6,0"), "line 3: 2 counts for 3 columns"),
        (GOOD.replace("6,0,2", f"6,0,{'2' * 40_000_000}"), "too large; is a quote"),
        ("\n".join(" ".join("0" * 120) for _ in range(120)), "120 rows"),
    ],
)
def test_bad_counts_are_named(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as error:
        read_counts(path)
    assert words in str(error.value) and str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_occurrences(tmp_path: Path) -> None:
    for text in ("symbol,structures\nLi,12\nNa,8.0\n", "Li 12\nNa 8\n"):
        found = read_occurrences(written(tmp_path, text))
        assert found[LI] == 12 and found[NA] == 8 and found.sum() == 20


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("symbol,structures\n", "empty"),
        ("symbol,structures\nLi,-1\n", "line 2: -1 crystals"),
        ("symbol,structures\nLi,nan\n", "line 2: nan crystals"),
        ("symbol,structures\nLi,many\n", "line 2: 'many' is no number"),
        ("symbol,structures\nLi,1\nLi,2\n", "Li is there twice"),
        ("Xx,1\nLi,2\n", "line 1: 'Xx' is no element"),
        ("Li,1,2\n", "line 1: 3 cells"),
    ],
)
def test_bad_occurrences_are_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        read_occurrences(written(tmp_path, text))


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    counts = written(tmp_path, GOOD)
    crystals = written(tmp_path, "Fe,3\n", "crystals.csv")
    with pytest.raises(UsageError, match="belong together"):
        read_replaceability(counts, crystals)
    with pytest.raises(UsageError, match="cannot be read"):
        read_replaceability(tmp_path / "absent.csv", None)
    (tmp_path / "binary.csv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(UsageError, match="not a text file"):
        read_counts(tmp_path / "binary.csv")


def test_orders(tmp_path: Path) -> None:
    assert read_order(written(tmp_path, "# ours\nK\nNa\nLi\n")) == [K, NA, LI]
    assert read_order(written(tmp_path, "position,symbol\n1,K\n2,Na\n")) == [K, NA]
    known = salts()
    path = written(tmp_path, "Na\nHe\nK\nLi\n")
    assert named_order(str(path), known, ()).tolist() == [NA, HE, K, LI]
    assert named_order(str(path), known, ("He", "K")).tolist() == [NA, LI]
    # of a scale of the literature, only what there is data of
    assert set(named_order("mod_petti", known, ()).tolist()) == {LI, NA, K}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Na\nLi\n", "K have replaceabilities and no place in this order"),
        ("Na\nLi\nK\nNa\n", "Na is there twice"),
        ("Na\nLi\nKk\n", "line 3: 'Kk' is no element"),
        ("\n", "no element in it"),
    ],
)
def test_bad_orders_are_named(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text, "order.txt")
    with pytest.raises(UsageError, match=re.escape(words)):
        named_order(str(path), salts(), ())


def test_an_unknown_order(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file; give mds, mod_petti or a file"):
        named_order("petifor", salts(), ())


def test_published_probabilities_are_conditional() -> None:
    """Replacements of an element, without itself and unseen ones, add up to less than one."""
    known = published_probabilities()
    assert len(known.numbers) > 70
    assert ((known.values >= 0) & (known.values < 1)).all()
    assert (known.values.sum(axis=1) < 1).all() and known.values.max() > 0.05
    places = {int(z): place for place, z in enumerate(known.numbers)}
    cl, br, fe = (places[NUMBERS[symbol]] for symbol in ("Cl", "Br", "Fe"))
    assert known.symmetric[cl, br] > 5 * known.symmetric[cl, fe]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--counts", "a", "--mine", "b"], "--counts and --mine"),
        (["--occurrences", "a"], "--occurrences goes with --counts"),
        (["--restarts", "0"], "--restarts: 0 is wrong, it must be at least 1"),
        (["--lambdas", "1", "-2"], "--lambdas: -2 is wrong, it must be a positive number"),
        (["--eta", "0"], "--eta: 0 is wrong, it must be a positive number"),
        (["--pick", "six"], "--pick: 'six' is neither `variance` nor"),
        (["--pick", "0"], "--pick: 0 is wrong, it must be a positive number"),
        (["--leave-out", "Xx"], "--leave-out: Xx is no element"),
        (["--max-bad", "2"], "--max-bad: 2 is wrong, it must be a share"),
        (["--repulsion", "ajacent"], "did you mean adjacent?"),
        (["--mds-on", "shares"], "did you mean share?"),
        (["--lamdas", "1"], "did you mean --lambdas?"),
    ],
)
def test_bad_flags_are_refused(flags: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        parse(flags)


def test_a_picked_lambda_is_solved_too() -> None:
    assert parse([]).lambdas == LAMBDAS and parse([]).pick is None
    options = parse(["--lambdas", "1", "10", "--pick", "6"])
    assert options.lambdas == (1.0, 6.0, 10.0) and options.pick == 6.0


def test_nothing_is_written_for_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, GOOD.replace("6,0,2", "-6,0,2"))
    run = tmp_path / "run"
    assert JOBS["element_scale"].main(["--counts", str(path), "--run", str(run)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"error: {path}: the count of Na")
    assert not run.exists()


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    flags = ["--counts", str(written(tmp_path, GOOD)), "--run", str(run), "--dry-run"]
    assert JOBS["element_scale"].main(flags) == 0
    assert "3 elements, 2 pairs" in capsys.readouterr().out
    assert not run.exists()
