"""The quarantine list and the limit above which a job stops."""

import pytest

from trainables.crystals.crystal import Entry
from trainables.crystals.quarantine import Quarantine, TooManyBad


def entry(row: int, id: str) -> Entry:
    return Entry(row, id, "json", "{}", "1", f"data.csv:{row + 1}")


def test_rows_keep_file_row_id_and_reason() -> None:
    quarantine = Quarantine()
    quarantine.add("data.csv:12", "mp-1", "no atoms: the structure\nis empty")
    quarantine.add("folder/a.cif", "a", "broken", row=3)
    assert quarantine.rows() == [
        {"file": "data.csv", "row": 12, "id": "mp-1", "reason": "no atoms: the structure is empty"},
        {"file": "folder/a.cif", "row": 3, "id": "a", "reason": "broken"},
    ]


def test_the_second_of_a_duplicate_id_is_bad_and_the_first_is_kept() -> None:
    quarantine = Quarantine()
    assert quarantine.admit(entry(0, "a"))
    assert quarantine.admit(entry(1, "b"))
    assert not quarantine.admit(entry(2, "a"))
    assert not quarantine.admit(entry(3, "a"))
    assert quarantine.seen == 4
    reason = "duplicate id: first seen in row 1"
    assert [(row["row"], row["reason"]) for row in quarantine.rows()] == [(3, reason), (4, reason)]


def test_an_empty_id_is_bad() -> None:
    quarantine = Quarantine()
    assert not quarantine.admit(entry(0, " "))
    assert quarantine.rows()[0]["reason"] == "missing id: the cell is empty"


def test_one_crystal_counts_once() -> None:
    quarantine = Quarantine()
    quarantine.add("data.csv:1", "a", "no atoms")
    quarantine.add("data.csv:1", "a", "missing target")
    assert quarantine.bad == 1
    assert quarantine.rows()[0]["reason"] == "no atoms"


def fill(quarantine: Quarantine, good: int, bad: int) -> None:
    for row in range(good + bad):
        quarantine.admit(entry(row, f"id{row}"))
        if row < bad:
            reason = "atoms too close: 0.1 Å" if row % 3 else "no atoms: empty"
            quarantine.add(f"data.csv:{row + 1}", f"id{row}", reason)


def test_at_the_limit_the_job_goes_on() -> None:
    quarantine = Quarantine(limit=0.01)
    fill(quarantine, 198, 2)
    quarantine.raise_if_over_limit(final=True)


def test_above_the_limit_it_stops_with_one_clear_line() -> None:
    quarantine = Quarantine(limit=0.01)
    fill(quarantine, 195, 5)
    with pytest.raises(TooManyBad) as caught:
        quarantine.raise_if_over_limit(final=True)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith("5 of 200 crystals are bad (2.5 %), the limit is 1 %: ")
    assert "3 × atoms too close, 2 × no atoms" in text
    assert "data.csv row 1 (id0): no atoms: empty" in text
    assert "--max-bad" in text


def test_before_the_end_it_stops_only_when_nothing_can_mend_it() -> None:
    undecided = Quarantine(limit=0.01, expected=1000)
    fill(undecided, 0, 10)
    undecided.raise_if_over_limit()
    hopeless = Quarantine(limit=0.01, expected=1000)
    fill(hopeless, 0, 11)
    with pytest.raises(TooManyBad, match="11 of 1000"):
        hopeless.raise_if_over_limit()
    unknown = Quarantine(limit=0.01)
    fill(unknown, 0, 11)
    unknown.raise_if_over_limit()


def test_no_rows_at_all() -> None:
    quarantine = Quarantine()
    quarantine.raise_if_over_limit()
    with pytest.raises(TooManyBad, match="no crystals"):
        quarantine.raise_if_over_limit(final=True)


@pytest.mark.parametrize(
    ("total", "accepted"),
    [(2, 1), (4, 2), (5, 2), (6, 3), (55, 3), (300, 3), (400, 4), (10_000, 100)],
)
def test_a_few_of_a_small_data_set_may_be_bad(total: int, accepted: int) -> None:
    quarantine = Quarantine()
    fill(quarantine, total - accepted, accepted)
    quarantine.raise_if_over_limit(final=True)
    one_more = Quarantine()
    fill(one_more, total - accepted - 1, accepted + 1)
    with pytest.raises(TooManyBad, match="the limit is 1 % or 3 crystals"):
        one_more.raise_if_over_limit(final=True)


def test_a_limit_that_is_asked_for_is_kept_to() -> None:
    quarantine = Quarantine(0.01)
    fill(quarantine, 54, 1)
    with pytest.raises(TooManyBad, match=r"1 of 55 crystals are bad .*, the limit is 1 %:"):
        quarantine.raise_if_over_limit(final=True)
