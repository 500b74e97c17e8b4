"""The side of an array that `benchmarks.stacking` measures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.stacking import MIXINGS, epochs
from trainables.models.backbones import BACKBONES
from trainables.testing.samples import made_up_dataset


def test_a_side_trains_until_its_models_have_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = BACKBONES["schnet"]
    short = replace(spec.recipes["tuned"], epochs=3)
    monkeypatch.setitem(BACKBONES, "schnet", replace(spec, recipes={"tuned": short}))
    side = epochs("schnet", made_up_dataset("schnet", 12), MIXINGS[:2], dim=4, count=2)
    assert side() > 0
    with pytest.raises(SystemExit, match=r"^schnet: a model has finished; take fewer pairs$"):
        side()
