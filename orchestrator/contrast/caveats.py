"""What of a run's results cannot be trusted, in a line each, for print and for the report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from orchestrator.contrast.retrieval import CHANCE, ENSEMBLE, UNTRAINED, WAYS
from orchestrator.interface.format import counted

FEW = 10  # formulas, below which an interval over formulas rests on too little
SHORT = 0.10  # share by which the coverage may miss the level without a line on it
ALPHA = 0.05


def of_intervals(facts: Mapping[str, Any]) -> list[str]:
    """Why intervals of this run may not hold what they promise; nothing if there is no reason."""
    split, interval = facts["split"], facts["work_function"]["interval"]
    level, covered, validated = interval["level"], interval["covered"], split["validation"]
    lines = []
    needed = math.ceil(level / (1 - level) - 1e-9)
    if validated < needed:
        lines.append(
            f"intervals of work functions: {counted(validated, 'validation material')} can promise"
            f" at most {validated / (validated + 1):.0%}; {level:.0%} needs {needed}"
        )
    lines += of_formulas(split["validation_formulas"], split["test_formulas"])
    if covered < level - SHORT:
        lines.append(
            f"intervals of work functions: {covered:.0%} of the test materials lie within what is"
            f" to hold {level:.0%}; the validation part, which calibrates them, has also chosen"
            " epochs and heads"
        )
    return lines


def of_formulas(validated: int, tested: int) -> list[str]:
    """Why intervals over so few formulas say little."""
    return [
        f"intervals: the {part} part has {counted(formulas, 'formula')}, {of}; fewer than {FEW} say"
        " little of others"
        for part, formulas, of in (
            ("validation", validated, "by which intervals are calibrated"),
            ("test", tested, "over which intervals are taken"),
        )
        if formulas < FEW
    ]


def of_retrieval(facts: Mapping[str, Any]) -> list[str]:
    """The ways in which nothing was learned that retrieves, as far as the test part can tell."""
    lines = []
    for way, title in WAYS.items():
        short = [
            name
            for name, above in (
                ("chance", _above_chance(facts, way)),
                ("the untrained encoders", _above_untrained(facts, way)),
            )
            if not above
        ]
        if short:
            lines.append(
                f"{title}: recall@1 is not above {' nor above '.join(short)} (p ≥ {ALPHA:g});"
                " nothing was learned that retrieves"
            )
    return lines


def _above_chance(facts: Mapping[str, Any], way: str) -> bool:
    """Whether the interval of the ensemble's recall@1 lies above chance."""
    rows = {row["method"]: row for row in facts["retrieval"] if row["way"] == way}
    recall, chance = (rows[name]["recall"]["1"] for name in (ENSEMBLE, CHANCE))
    ends = rows[ENSEMBLE]["recall_1_interval"]
    if ends is None:  # all are hit, or none; or there is one formula
        tested = facts["split"]["test"]
        return bool(recall == 1 and chance**tested < ALPHA and facts["split"]["test_formulas"] > 1)
    return bool(ends[0] > chance)


def _above_untrained(facts: Mapping[str, Any], way: str) -> bool:
    return any(
        row["mean"] > 0 and row["p"] < ALPHA
        for row in facts["retrieval_differences"]
        if (row["way"], row["against"], row["top"]) == (way, UNTRAINED, 1)
    )
