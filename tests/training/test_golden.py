"""A tiny training whose numbers are known: a refactoring must not move them unnoticed."""

from __future__ import annotations

import numpy as np
import pytest

from trainables.models.recipe import Recipe
from trainables.testing.samples import made_up_dataset
from trainables.training.fit import fit
from trainables.training.specification import TRAINING_VERSION, ArraySpec

# (backbone, optimiser) -> mixing -> losses of two epochs, validation MAEs, MAE on the test part
GOLDEN: dict[tuple[str, str], dict[str, list[float]]] = {
    ("cgcnn", "sgd"): {
        "H": [1.338763, 1.171688, 0.8601156, 0.985413, 1.978521],
        "0": [1.474442, 1.193793, 0.9862754, 0.9352434, 1.717729],
    },
    ("cgcnn", "adamw"): {
        "H": [0.892205, 1.331789, 0.9369282, 1.459724, 1.644847],
        "0": [0.8629059, 1.262981, 1.519457, 0.8570555, 1.842507],
    },
    ("megnet", "sgd"): {
        "H": [1.002092, 0.9994723, 1.564051, 1.563539, 1.477801],
        "0": [1.006051, 1.003394, 1.566128, 1.565643, 1.470731],
    },
    ("megnet", "adamw"): {
        "H": [0.7136801, 0.7117192, 1.295834, 1.526749, 1.44618],
        "0": [0.7264138, 0.7182055, 1.307042, 1.520106, 1.331472],
    },
    ("schnet", "sgd"): {
        "H": [1.427779, 1.172052, 2.165311, 2.064236, 1.895901],
        "0": [1.431691, 1.171962, 2.192742, 2.089715, 1.88635],
    },
    ("schnet", "adamw"): {
        "H": [0.8914273, 0.7223691, 1.567869, 1.359144, 1.377784],
        "0": [0.9126654, 0.7175871, 1.84053, 1.499399, 1.328073],
    },
    ("cogn", "sgd"): {
        "H": [1.018009, 1.015137, 1.52697, 1.52671, 1.475573],
        "0": [1.007499, 1.004456, 1.52178, 1.521576, 1.488584],
    },
    ("cogn", "adamw"): {
        "H": [0.721745, 0.8140919, 1.229323, 1.574061, 1.955264],
        "0": [0.7923293, 0.8562178, 1.595304, 1.896797, 1.400586],
    },
    ("tensor", "sgd"): {
        "H": [0.9775173, 0.9734571, 1.453218, 1.452748, 1.489962],
        "0": [1.025174, 1.021334, 1.464364, 1.464131, 1.485274],
    },
    ("tensor", "adamw"): {
        "H": [0.686504, 2.049118, 1.776473, 1.603078, 1.575489],
        "0": [0.7502041, 0.8077905, 1.706326, 3.311023, 1.410623],
    },
}
# The same function, on graphs that merge no atoms.
GOLDEN |= {("schnet_atoms", name): GOLDEN["schnet", name] for name in ("sgd", "adamw")}
MOVED = (
    "the trained numbers moved. If that was meant, raise TRAINING_VERSION in "
    "trainables/training/specification.py (now {version}), so that finished models of the old code "
    "are not mixed with new ones, and put these into GOLDEN: {found}"
)


@pytest.mark.parametrize(("backbone", "optimiser"), GOLDEN, ids=["-".join(key) for key in GOLDEN])
def test_curves_are_those_of_before(backbone: str, optimiser: str) -> None:
    # a recipe of its own: the recipes of the product may be tuned without raising the version
    recipe = Recipe(
        name="tuned",
        optimiser="sgd" if optimiser == "sgd" else "adamw",
        lr=0.002 if optimiser == "sgd" else 0.02,
        weight_decay=0.1,
        loss="mse" if optimiser == "sgd" else "l1",
        schedule="step" if optimiser == "sgd" else "cosine",
        milestones=(1,),
        averaging=0.0 if optimiser == "sgd" else 0.9,
        epochs=2,
        batch_size=5,
    )
    spec = ArraySpec(
        backbone=backbone, dim=4, mixings={"H": "H", "0": "0"}, fold=0, seed=0, recipe=recipe
    )
    found = {}
    for outcome in fit(spec, made_up_dataset(backbone, 24)):
        history = outcome.history
        numbers = [*history.train_loss, *history.val_error, outcome.metrics["test_mae"]]
        found[history.member.key] = [float(f"{number:.7g}") for number in numbers]
    known = GOLDEN[backbone, optimiser]
    assert list(found) == list(known)
    same = all(np.allclose(found[key], known[key], rtol=1e-4, atol=0) for key in known)
    assert same, MOVED.format(version=TRAINING_VERSION, found=found)
