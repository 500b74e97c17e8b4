"""Copy the tables of a run, and a scale, into the package, and write their card.

python scripts/ship_tables.py RUN SCALE

RUN is a run directory of hybrid_grid, SCALE one of element_scale; their commands are in
docs/tables.md. What is said in words (sources, leaks, worth) is kept by hand, in
analysis/shipped/data/notes.json. The part of docs/tables.md between its two marks is written anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import element_table, shipped, tables
from analysis.elements import NUMBERS, SYMBOLS
from analysis.selection import STRATEGIES, strategies
from orchestrator.element_scale.files import FinishedScale
from orchestrator.hybrid_grid.tables import TABLE_DIMS
from orchestrator.runs import layout
from orchestrator.runs.finished_run import FinishedRun, demand_sound_table
from trainables.elements import descriptor

PAGE = Path(__file__).parents[1] / "docs" / "tables.md"
START, END = "<!-- written by scripts/ship_tables.py -->", "<!-- until here -->"
SCALE = "Element-Scale"
VERSIONS = ("elemgrid", "torch", "numpy", "scikit-learn")


def digest(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def measured(name: str, kind: str) -> dict[str, Any]:
    """What a shipped table's two files say: digests, sizes and the mean spread."""
    path = shipped.DATA / f"{name}.csv"
    read = element_table.read(path)
    spread = [row.get("spread") for row in read.card["elements"].values()]
    known = [value for value in spread if value is not None]
    return {
        "kind": kind,
        "sha256": digest(path),
        "sidecar_sha256": digest(element_table.sidecar_path(path)),
        "rows": len(read.vectors),
        "columns": int(read.vectors.shape[1]),
        "rows_filled": int((~read.seen).sum()),
        "mean_spread": round(float(np.mean(known)), 4) if known else None,
    }


def copy_tables(run: Path) -> list[str]:
    """Copies the tables of a run and returns their names.

    Raises:
        UsageError: one is not as the run wrote it.
        ValueError: one is missing or malformed.
    """
    names = [
        f"Mat2Vec-{strategy}-{dim}{end}"
        for strategy in STRATEGIES
        for dim in TABLE_DIMS
        for end in ("", tables.PLAIN)
    ]
    paths = [run / layout.TABLES / f"{name}.csv" for name in names]
    for path in paths:  # all, before the first is replaced
        demand_sound_table(path)
        element_table.read(path)
    for path in paths:
        shutil.copy(path, shipped.DATA)
        shutil.copy(element_table.sidecar_path(path), shipped.DATA)
    return names


def write_scale(run: Path) -> None:
    """Writes a scale as a table of one column, with the elements that it lacks filled."""
    scale = FinishedScale(run)
    numbers = sorted(NUMBERS[symbol] for symbol in scale.positions)
    positions = np.array([[scale.positions[SYMBOLS[z]]] for z in numbers])
    handcrafted = descriptor.load()
    vectors, seen = tables.complete(numbers, positions, handcrafted)
    near = tables.nearest_seen(numbers, handcrafted)
    about = {
        SYMBOLS[z]: {
            "seen": bool(seen[z - 1]),
            "filled_from": {SYMBOLS[other]: round(share, 6) for other, share in near[z].items()}
            if z in near
            else None,
        }
        for z in NUMBERS.values()
    }
    facts = {
        "table": SCALE,
        "dim": 1,
        **scale.facts,
        "fill_rule": tables.FILL_RULE.replace("in no training part", "without a position"),
        "elements_seen": len(numbers),
        "elements": about,
    }
    path = shipped.DATA / f"{SCALE}.csv"
    path.write_text(element_table.to_csv(vectors), encoding="utf-8")
    text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
    element_table.sidecar_path(path).write_text(text, encoding="utf-8")


def facts_of_run(run: FinishedRun) -> dict[str, Any]:
    """What was trained, and how well: the part of the card that a run knows."""
    manifest, done = run.manifest, run.done
    asked = {name: value for name, value in manifest["config"].items() if value is not None}
    asked["tasks"] = list(manifest["datasets"])
    winners = strategies(run.ledger)["S"]
    return {
        "made": manifest["created"][:10],
        "versions": {name: manifest["versions"][name] for name in VERSIONS},
        "config": asked,
        "models_in_run": len(done),
        "crystals": {name: one["crystals"] for name, one in manifest["datasets"].items()},
        "validation_mae": by_mixing(done, "val_mae"),
        "test_mae": by_mixing(done, "test_mae"),
        "winners_of_s": done[done["key"].isin(winners)]["mixing"].value_counts().to_dict(),
        "ledger": run.digest,
    }


def by_mixing(done: pd.DataFrame, column: str) -> dict[str, dict[str, float]]:
    """Mean of a column over the folds, by data set and mixing, to four digits."""
    means = done.groupby(["task", "mixing"])[column].mean()
    found: dict[str, dict[str, float]] = {}
    for (task, mixing), value in means.items():
        found.setdefault(task, {})[mixing] = float(f"{value:.4g}")
    return found


def card_page(names: Sequence[str]) -> str:
    """The part of docs/tables.md that follows from the cards."""
    cards = {name: shipped.element_table(name).card for name in names}
    return "\n".join(_page(cards))


def _page(cards: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    grid, scale = (next(c for c in cards.values() if c["kind"] == k) for k in ("grid", "scale"))
    yield START
    yield "| table | columns | models | elements seen | rows filled | mean spread | SHA-256 |"
    yield "|---|--:|--:|--:|--:|--:|---|"
    for name, card in cards.items():
        models, spread = card.get("models", "–"), card["mean_spread"] or "–"
        seen, filled = card["elements_seen"], card["rows_filled"]
        yield (
            f"| `{name}` | {card['columns']} | {models} | {seen} | {filled} | {spread}"
            f" | `{card['sha256'][:12]}` |"
        )
    yield ""
    yield from _section("Mat2Vec-S, -H and -L", grid)
    yield "| validation MAE | crystals | " + " | ".join(MIXINGS) + " |"
    yield "|---|--:|" + "--:|" * len(MIXINGS)
    for task, errors in grid["validation_mae"].items():
        cells = " | ".join(f"{errors[mixing]:g}" for mixing in MIXINGS)
        yield f"| {task} | {grid['crystals'][task]} | {cells} |"
    yield ""
    won = ", ".join(f"{mixing} {count}" for mixing, count in grid["winners_of_s"].items())
    yield f"Behind Mat2Vec-S stand, of the mixings: {won}."
    missing = [symbol for symbol, row in grid["elements"].items() if not row["seen"]]
    yield f"\nFilled rows: {' '.join(missing)}; {grid['fill_rule']}.\n"
    yield from _section(SCALE, scale)
    missing = [symbol for symbol, row in scale["elements"].items() if not row["seen"]]
    yield f"Filled rows: {' '.join(missing)}, by the same rule.\n"
    yield f"## Licence and citation\n\n{grid['licence']}\n\n{grid['cite']}"
    yield END


MIXINGS = ("H", "0", "L")
TOPICS = ("what", "chosen_because", "spread", "start", "leaks", "worth", "limits")


def _section(title: str, card: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {title}\n\n```bash\n{card['command']}\n```\n"
    for topic in TOPICS:
        if topic in card:
            yield f"**{topic.replace('_', ' ').capitalize()}.** {card[topic]}\n"
    yield "| data | source | licence | file, SHA-256 |\n|---|---|---|---|"
    for one in card["data"]:
        yield (
            f"| {one['name']} | {one['source']} | {one['licence']}"
            f" | `{one['file']}`, `{one['sha256'][:12]}` |"
        )
    yield ""


def with_card(page: str, card: str) -> str:
    """A page with the part between the marks replaced."""
    before, _, rest = page.partition(START)
    return before + card + rest.partition(END)[2]


def main() -> None:
    """Writes the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("scale", type=Path, metavar="SCALE")
    given = parser.parse_args()
    run = FinishedRun(given.run)
    run.demand_files()
    names = copy_tables(given.run)
    write_scale(given.scale)
    release = {
        "made": {"grid": facts_of_run(run), "scale": {}},
        "tables": {
            **{name: measured(name, "grid") for name in names},
            SCALE: measured(SCALE, "scale"),
        },
    }
    text = json.dumps(release, indent=1, ensure_ascii=False) + "\n"
    (shipped.DATA / shipped.RELEASE).write_text(text, encoding="utf-8")
    PAGE.write_text(
        with_card(PAGE.read_text(encoding="utf-8"), card_page(list(release["tables"]))),
        encoding="utf-8",
    )
    print(f"{len(release['tables'])} tables: {shipped.DATA}")


if __name__ == "__main__":
    main()
