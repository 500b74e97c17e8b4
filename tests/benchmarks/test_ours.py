"""Our side of the benchmarks, as the process that is measured holds it."""

from __future__ import annotations

from pathlib import Path

from benchmarks.ours import Ours
from tests.benchmarks.data_for_tests import choice


def test_recorded_epochs_name_the_crystals_of_each_batch(tmp_path: Path) -> None:
    """The published code is to learn from the same crystals in the same order."""
    ours = Ours()
    source = str(choice(tmp_path).source)
    ours.start(source=source, backbone="cgcnn", dim=4, mixings=["H"], fold=0, seed=0, epochs=2)
    said = ours.recorded_epochs(count=2)
    train = {str(ours.dataset.ids[row]) for row in ours.fit.split.train}
    learned = [crystal for batch in said["batches"] for crystal in batch]
    assert len(learned) == 2 * len(train) and set(learned) == train
    assert len(said["train_loss"][0]) == 2
