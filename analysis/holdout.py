"""Errors on crystals with elements that were held out of training, or of which a few were not.

The errors of different elements have different scales, so they are averaged as shares of the
trivial prediction's error on the same crystals.
"""

from __future__ import annotations

import pandas as pd

from analysis.leaderboard import CONFIGURATION, of_mixings
from analysis.paired import FIVE_FOLDS, Paired, paired
from analysis.selection import done

REFERENCE = "H"  # the mixing that the others are compared with
PAIR = ["fold", "seed"]
HELD = ["task", "backbone", "leave_out", "shots"]


def models_held_out(ledger: pd.DataFrame) -> pd.DataFrame:
    """The models with elements held out; of several training sizes, those of the largest.

    Of each task, backbone, condition and mixing they have the dimension and setting with the lowest
    mean validation error.

    Args:
        ledger: with the columns of the conditions.

    Returns:
        Rows of the ledger, with `share`, the test error over that of the trivial prediction; none
        if no model that is done has elements held out.
    """
    rows = ledger[(ledger["leave_out"] != "") & (ledger["status"] == "done")]
    if rows.empty:
        return rows.assign(share=pd.Series(dtype=float))
    sizes = set(rows["train_size"])
    rows = done(rows[rows["train_size"] == (0 if 0 in sizes else max(sizes))], "test_error")
    names = list(CONFIGURATION)
    chosen = rows.merge(of_mixings(rows)[names], on=names)
    return chosen.assign(share=chosen["test_error"] / chosen["dummy_error"])


def by_element(models: pd.DataFrame) -> pd.DataFrame:
    """The mean errors of each mixing on what is held out, and its differences from `REFERENCE`.

    Args:
        models: as of `models_held_out`; other columns that end in "_error" are averaged too.

    Returns:
        task, backbone, leave_out, shots, mixing, gamma, models, crystals (tested in all folds), the
        mean errors and share; and `difference`, a `Paired` over folds, None for the
        reference or without it.
    """
    errors = [name for name in models if name.endswith("_error")]
    rows = []
    for held, together in models.groupby(HELD, sort=False):
        reference = _of_folds(together[together["mixing"] == REFERENCE])
        for mixing, own in together.groupby("mixing", sort=False):
            rows.append(
                dict(zip(HELD, held, strict=True))
                | {"mixing": mixing, "gamma": own["gamma"].iloc[0], "models": len(own)}
                | {"crystals": int(own.groupby("fold")["n_test"].first().sum())}
                | own[[*errors, "share"]].mean().to_dict()
                | {"difference": None if mixing == REFERENCE else _difference(own, reference)}
            )
    order = ["task", "backbone", "leave_out", "shots", "gamma", "mixing"]
    return pd.DataFrame(rows).sort_values(order, kind="stable").reset_index(drop=True)


def _of_folds(models: pd.DataFrame) -> pd.Series:
    """The error of each fold and seed; inner folds share a test part, so they are averaged."""
    return models.groupby(PAIR)["test_error"].mean()


def _difference(own: pd.DataFrame, reference: pd.Series) -> Paired | None:
    differences = (_of_folds(own) - reference).dropna().groupby("fold").mean()
    # Few crystals are tested, but the training parts of two folds share as many as ever.
    return None if differences.empty else paired(differences.to_numpy(), FIVE_FOLDS)


def over_elements(models: pd.DataFrame) -> pd.DataFrame:
    """The mean share of each mixing and number of shots, over all that is held out.

    What is held out counts where it has all numbers of shots, so that a curve is of the same test
    crystals. Each counts once, as its mean over folds and seeds, and Student's 95 % interval is
    over them; of a single one it is over folds and seeds.

    Returns:
        task, backbone, shots, mixing, gamma, sets (how many are held out), share, low, high;
        `difference`, a `Paired` of the same shares with those of `REFERENCE`, or None; and `lower`,
        in how many sets the mean is below the reference's.
    """
    rows = []
    for (task, backbone), together in models.groupby(["task", "backbone"]):
        shots = together.groupby("leave_out")["shots"].nunique()
        whole = together[together["leave_out"].isin(shots[shots == shots.max()].index)]
        unit = ["leave_out"] if whole["leave_out"].nunique() > 1 else PAIR
        gammas = whole.groupby("mixing")["gamma"].first()  # NaN of a mixing without a number
        shares = whole.groupby(["shots", "mixing", *unit])["share"].mean()
        for (number, mixing), own in shares.groupby(level=[0, 1]):
            mean = paired(own.to_numpy(), 0.0)
            row = {"task": task, "backbone": backbone, "shots": number, "mixing": mixing}
            row |= {"gamma": gammas[mixing], "sets": own.index.get_level_values(-1).nunique()}
            if unit == PAIR:
                row["sets"] = 1
            row |= {"share": mean.mean, "low": mean.low, "high": mean.high}
            rows.append(row | _beside_reference(shares, own, number, mixing))
    order = ["task", "backbone", "shots", "gamma", "mixing"]
    return pd.DataFrame(rows).sort_values(order, kind="stable").reset_index(drop=True)


def _beside_reference(
    shares: pd.Series, own: pd.Series, shots: int, mixing: str
) -> dict[str, Paired | int | None]:
    level = shares.index.get_level_values
    reference = shares[(level("shots") == shots) & (level("mixing") == REFERENCE)]
    one, other = (series.droplevel(["shots", "mixing"]) for series in (own, reference))
    differences = (one - other).dropna()
    if mixing == REFERENCE or differences.empty:
        return {"difference": None, "lower": None}
    return {
        "difference": paired(differences.to_numpy(), 0.0),
        "lower": int((differences < 0).sum()),
    }
