"""The shipped tables in matminer's featuriser of compositions, as its presets are used.

matminer needs a pandas below ours, so it is in an environment of its own: docs/tables.md.
"""

from __future__ import annotations

import numpy as np
import pytest

from analysis.shipped import element_table, element_tables

pytest.importorskip(
    "matminer.featurizers.composition",
    reason="matminer and the pinned pandas exclude each other; docs/tables.md has the command",
    exc_type=ImportError,
)


@pytest.mark.parametrize("name", element_tables())
def test_a_composition_is_featurised(name: str) -> None:
    from matminer.utils.data import AbstractData
    from pymatgen.core import Composition

    table = element_table(name)
    featuriser = table.element_property()
    assert isinstance(featuriser.data_source, AbstractData)
    found = np.array(featuriser.featurize(Composition("Fe2O3"))).reshape(-1, 5)
    iron, oxygen = table.vector("Fe"), table.vector("O")
    assert found.shape == (*table.vectors.shape[1:], 5)
    np.testing.assert_allclose(found[:, 0], np.minimum(iron, oxygen))
    np.testing.assert_allclose(found[:, 1], np.maximum(iron, oxygen))
    np.testing.assert_allclose(found[:, 2], np.abs(iron - oxygen))
    np.testing.assert_allclose(found[:, 3], (2 * iron + 3 * oxygen) / 5, atol=1e-12)
    labels = featuriser.feature_labels()
    assert len(set(labels)) == found.size and labels[3] == f"MatminerData mean {name} 0"


def test_a_column_of_a_frame_is_featurised_by_several_processes() -> None:
    import pandas as pd
    from pymatgen.core import Composition

    featuriser = element_table("Mat2Vec-L-32").element_property()
    featuriser.set_n_jobs(2)
    frame = pd.DataFrame({"composition": [Composition(text) for text in ("NaCl", "OgO2")]})
    found = featuriser.featurize_dataframe(frame, "composition", pbar=False)
    assert found.shape == (2, 1 + 32 * 5) and np.isfinite(found.iloc[:, 1:].to_numpy()).all()
