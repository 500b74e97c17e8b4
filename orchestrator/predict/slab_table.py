"""What a contrastive run says of new slabs, as rows of a table.

Legend: N slabs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

REGRESSION, NEAREST = "regression", "nearest"
# eV, but for the similarity, a cosine: of the head and its interval, of the regressions if there
# are any, and of the material `NEAREST`.
NUMBERS = (
    "work_function", "lower", "upper", REGRESSION, "nearest_work_function", "nearest_similarity"
)  # fmt: skip
COLUMNS = ("id", *NUMBERS[:4], NEAREST, *NUMBERS[4:], "outside", "reason")


@dataclass(frozen=True, kw_only=True)
class PredictedSlabs:
    """Work functions of N slabs, of which some were refused.

    Attributes:
        ids: [N].
        numbers: [N] by name, those of `NUMBERS` that there are; NaN where there is none.
        nearest: [N] id of the learned material whose profile lies nearest; None where there is no
            prediction.
        outside, reasons: [N] as of `predictor.Predicted`.
    """

    ids: list[str]
    numbers: Mapping[str, np.ndarray]
    nearest: list[str | None]
    outside: list[str]
    reasons: list[str]
