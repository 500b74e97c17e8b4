"""One array from data set to outcomes: repeatable, complete, and blind to the test part."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from trainables.crystals.split import split_fold
from trainables.models.backbones import BACKBONES
from trainables.models.mixing import Mixing
from trainables.models.options import CGCNNOptions
from trainables.models.recipe import Recipe
from trainables.representations.batches import DeviceColumns
from trainables.representations.dataset import Dataset
from trainables.testing.crystals import made_up
from trainables.testing.samples import made_up_dataset, model_of, of_all_atoms
from trainables.training.array import Member
from trainables.training.fit import ArrayFit, build_model, fit
from trainables.training.outcome import Outcome
from trainables.training.problem import predictions
from trainables.training.specification import ArraySpec

CRYSTALS = 60
DIM = 6
RECIPE = Recipe(
    name="tuned", optimiser="adamw", lr=1e-2, loss="l1", averaging=0.9, epochs=5, batch_size=16
)
MIXINGS = {"H": "key-h", "0": "key-0", "L": "key-l"}
both = pytest.mark.parametrize("backbone", BACKBONES)


def dataset_of(backbone: str) -> Dataset:
    return made_up_dataset(backbone, CRYSTALS)


def spec_of(backbone: str, seed: int = 0, fold: int = 1) -> ArraySpec:
    return ArraySpec(
        backbone=backbone, dim=DIM, mixings=MIXINGS, fold=fold, seed=seed, recipe=RECIPE
    )


def by_key(outcomes: Sequence[Outcome]) -> dict[str, Outcome]:
    return {outcome.history.member.key: outcome for outcome in outcomes}


@cache
def fitted(backbone: str, seed: int = 0, fold: int = 1) -> dict[str, Outcome]:
    return by_key(fit(spec_of(backbone, seed, fold), dataset_of(backbone)))


def all_bytes(outcome: Outcome) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in outcome.arrays.items()}


@both
def test_the_same_seed_gives_the_same_bits(backbone: str) -> None:
    again = by_key(fit(spec_of(backbone), dataset_of(backbone)))
    for key, outcome in fitted(backbone).items():
        assert all_bytes(again[key]) == all_bytes(outcome)
        assert again[key].metrics == outcome.metrics


def out_of(arrays: Mapping[str, np.ndarray]) -> str:
    """Where the weight of a network's last layer is."""
    (name,) = (name for name in arrays if name.endswith(("/out.weight", ".out.weight")))
    return name


@both
@pytest.mark.parametrize("other", [(1, 1), (0, 2)], ids=["seed", "fold"])
def test_another_seed_or_fold_gives_others(backbone: str, other: tuple[int, int]) -> None:
    for key, outcome in fitted(backbone, *other).items():
        first = fitted(backbone)[key].arrays
        for name in (out_of(first), "curve/val_mae", "predictions/test/value"):
            assert not np.array_equal(outcome.arrays[name], first[name]), name


@both
def test_mixings_of_a_fold_start_from_the_same_draws(backbone: str) -> None:
    """Common random numbers: after training they differ, by mixing alone."""
    first = {key: outcome.history.member.seed for key, outcome in fitted(backbone).items()}
    assert len(set(first.values())) == 1
    arrays = [fitted(backbone)[key].arrays for key in first]
    assert len({one[out_of(one)].tobytes() for one in arrays}) == 3


@both
def test_names_and_shapes(backbone: str) -> None:
    dataset = dataset_of(backbone)
    split = split_fold(dataset.rows, dataset.total, 1, 0)
    wide = {"cgcnn": DIM, "cogn": 64}.get(backbone, 32)
    layers = 4 if backbone == "cogn" else 3
    for label, key in MIXINGS.items():
        arrays = fitted(backbone)[key].arrays
        elements = len(arrays["elements/numbers"])
        shapes = {
            "curve/train_loss": (5,),
            "curve/val_mae": (5,),
            "predictions/validation/row": split.validation.shape,
            "predictions/validation/value": split.validation.shape,
            "predictions/test/row": split.test.shape,
            "predictions/test/value": split.test.shape,
            "elements/numbers": (elements,),
            "elements/counts": (elements,),
            "elements/mixed": (elements, DIM),
            "scaler/mean": (1,),
            "scaler/scale": (1,),
        }
        shapes |= {f"elements/layer{layer}": (elements, wide) for layer in range(1, layers + 1)}
        if label != "L":
            shapes["elements/h"] = (elements, DIM)
        if label != "H":
            shapes["elements/l"] = (elements, DIM)
        state = model_of(backbone, dim=DIM).state_dict()
        shapes |= {f"weights/{name}": tuple(value.shape[1:]) for name, value in state.items()}
        assert {name: value.shape for name, value in arrays.items()} == shapes
        assert all(np.isfinite(value).all() for value in arrays.values())
        assert arrays["elements/numbers"].dtype == np.uint8
        assert arrays["elements/counts"].dtype == np.int64


@both
def test_elements_are_those_of_the_training_part(backbone: str) -> None:
    dataset = dataset_of(backbone)
    split = split_fold(dataset.rows, dataset.total, 1, 0)
    arrays = fitted(backbone)["key-0"].arrays
    contents = [set(made_up(CRYSTALS)[row].numbers.tolist()) for row in split.train]
    assert arrays["elements/numbers"].tolist() == sorted(set().union(*contents))
    counts = [sum(z in content for content in contents) for z in arrays["elements/numbers"]]
    assert arrays["elements/counts"].tolist() == counts


@both
def test_an_element_only_in_the_test_part_has_no_vector(backbone: str) -> None:
    dataset = dataset_of(backbone)
    split = split_fold(dataset.rows, dataset.total, 1, 0)
    z = dataset.graphs.z.copy()
    start, stop = dataset.graphs.node_ptr[split.test[0] : split.test[0] + 2]
    z[start:stop] = 92
    changed = dataclasses.replace(dataset, graphs=dataclasses.replace(dataset.graphs, z=z))
    for key, outcome in by_key(fit(spec_of(backbone), changed)).items():
        numbers = outcome.arrays["elements/numbers"]
        assert numbers.tolist() == fitted(backbone)[key].arrays["elements/numbers"].tolist()
        assert 92 not in numbers


@both
@pytest.mark.parametrize("label", MIXINGS)
def test_mixed_is_the_mixture_of_h_and_l(backbone: str, label: str) -> None:
    arrays, mixing = fitted(backbone)[MIXINGS[label]].arrays, Mixing(label)
    wanted = mixing.handcrafted * arrays.get("elements/h", np.float32(0))
    wanted = wanted + mixing.learned * arrays.get("elements/l", np.float32(0))
    np.testing.assert_allclose(arrays["elements/mixed"], wanted, rtol=1e-6, atol=1e-7)


@both
def test_layer_vectors_are_means_over_the_atoms(backbone: str) -> None:
    """Atom by atom, on the full graphs of the training crystals."""
    dataset = dataset_of(backbone)
    split = split_fold(dataset.rows, dataset.total, 1, 0)
    arrays = fitted(backbone)["key-0"].arrays
    model = model_of(backbone, ["0"], dim=DIM, dtype=torch.float32).eval()
    prefix = "weights/"
    model.load_state_dict(
        {n[len(prefix) :]: torch.tensor(v)[None] for n, v in arrays.items() if n.startswith(prefix)}
    )
    learned = [made_up(CRYSTALS)[row] for row in split.train]
    graphs = of_all_atoms(learned, BACKBONES[backbone].representation)
    batch = DeviceColumns.load(graphs, np.zeros(len(graphs))).take(torch.arange(len(graphs)))
    with torch.no_grad():
        layers = model.node_layers(batch)
    for number, features in enumerate(layers, start=1):
        means = [features[0, batch.z == int(z)].mean(0) for z in arrays["elements/numbers"]]
        found = torch.tensor(arrays[f"elements/layer{number}"])
        torch.testing.assert_close(found, torch.stack(means), rtol=1e-4, atol=1e-5)


@both
def test_metrics_are_those_of_the_predictions(backbone: str) -> None:
    dataset = dataset_of(backbone)
    split = split_fold(dataset.rows, dataset.total, 1, 0)
    for outcome in fitted(backbone).values():
        metrics, arrays = outcome.metrics, outcome.arrays
        parts = ("dummy", "test", "train", "val")
        named = {f"{part}_{of}" for part in parts for of in ("error", "mae")}
        assert named == {name for name in metrics if not name.startswith(("log_ratio", "h_", "l_"))}
        assert all(metrics[f"{part}_error"] == metrics[f"{part}_mae"] for part in parts)
        assert outcome.scores["mae"] == metrics["test_mae"] <= outcome.scores["rmse"]
        for part, name, rows in (
            ("validation", "val_mae", split.validation),
            ("test", "test_mae", split.test),
        ):
            assert np.array_equal(arrays[f"predictions/{part}/row"], rows)
            errors = arrays[f"predictions/{part}/value"] - dataset.target[rows]
            assert metrics[name] == pytest.approx(np.abs(errors).mean(), rel=1e-12)
        assert metrics["val_mae"] == pytest.approx(outcome.history.best_error, rel=1e-5)
        known = dataset.target[split.train]
        dummy = np.abs(dataset.target[split.test] - known.mean()).mean()
        assert metrics["dummy_mae"] == pytest.approx(dummy, rel=1e-12)
        assert arrays["scaler/mean"][0] == known.mean()
        assert arrays["scaler/scale"][0] == known.std()


@both
def test_the_test_part_never_influences_training(backbone: str) -> None:
    dataset = dataset_of(backbone)
    split = split_fold(dataset.rows, dataset.total, 1, 0)
    target = dataset.target.copy()
    target[split.test] = target[split.test][::-1] * 100
    changed = by_key(fit(spec_of(backbone), dataclasses.replace(dataset, target=target)))
    for key, outcome in fitted(backbone).items():
        assert all_bytes(changed[key]) == all_bytes(outcome)  # weights, curves, predictions
        assert changed[key].metrics["val_mae"] == outcome.metrics["val_mae"]
        assert changed[key].metrics["test_mae"] != outcome.metrics["test_mae"]


@both
def test_a_shifted_and_stretched_target_gives_shifted_and_stretched_predictions(
    backbone: str,
) -> None:
    dataset = dataset_of(backbone)
    other = dataclasses.replace(dataset, target=dataset.target * 64 - 4096)
    for key, outcome in by_key(fit(spec_of(backbone), other)).items():
        before = fitted(backbone)[key]
        wanted = before.arrays["predictions/test/value"] * 64 - 4096
        np.testing.assert_allclose(outcome.arrays["predictions/test/value"], wanted, rtol=1e-4)
        assert outcome.metrics["test_mae"] == pytest.approx(
            64 * before.metrics["test_mae"], rel=0.01
        )


@both
def test_a_constant_target_is_learned_without_noise(backbone: str) -> None:
    dataset = dataset_of(backbone)
    flat = dataclasses.replace(dataset, target=np.full(CRYSTALS, 0.1))
    assert flat.target.std() != 0  # rounding alone
    for outcome in fit(spec_of(backbone), flat):
        assert outcome.arrays["scaler/scale"] == [1.0]
        assert outcome.metrics["dummy_mae"] < 1e-15
        assert np.isfinite(outcome.metrics["test_mae"])


@both
def test_a_diverged_model_leaves_its_curves_alone(backbone: str) -> None:
    recipe = Recipe(name="paper", optimiser="sgd", lr=1e30, epochs=9, batch_size=16)
    outcomes = fit(dataclasses.replace(spec_of(backbone), recipe=recipe), dataset_of(backbone))
    assert len(outcomes) == 3
    for outcome in outcomes:
        assert outcome.history.diverged
        assert outcome.metrics == {}
        assert sorted(outcome.arrays) == ["curve/train_loss", "curve/val_mae"]


def test_conv_width_is_the_width_of_the_convolutions() -> None:
    spec = dataclasses.replace(spec_of("cgcnn"), options=CGCNNOptions(conv_width=10))
    for outcome in fit(spec, dataset_of("cgcnn")):
        assert outcome.arrays["elements/mixed"].shape[1] == DIM
        assert outcome.arrays["elements/layer1"].shape[1] == 10


def test_training_loads_neither_ray_nor_pymatgen() -> None:
    script = """
        import sys

        class Refusing:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in ("ray", "pymatgen", "monty"):
                    raise ModuleNotFoundError(f"{name} is not to be loaded")

        sys.meta_path.insert(0, Refusing())
        import numpy as np
        from trainables.models.backbones import BACKBONES
        from trainables.representations import shards
        from trainables.representations.dataset import Dataset
        from trainables.representations.graph import Graphs
        from trainables.training import checkpoint
        from trainables.training.fit import fit
        from trainables.training.specification import ArraySpec
        import dataclasses

        n = 20
        ones = np.ones(n, dtype=np.int32)
        graphs = Graphs(np.arange(n + 1), np.arange(n + 1), np.arange(1, n + 1, dtype=np.uint8),
                        ones, 0 * ones, 0 * ones, 2500 * ones, 6 * ones)
        data = Dataset(graphs, np.arange(n) / 3, np.arange(n).astype(str), np.arange(n), n)
        for backbone in ("cgcnn", "megnet"):
            recipe = dataclasses.replace(BACKBONES[backbone].recipes["tuned"], epochs=1)
            spec = ArraySpec(backbone=backbone, dim=4, mixings={"0": "k"}, fold=0, seed=0,
                             recipe=recipe)
            (outcome,) = fit(spec, data)
            assert np.isfinite(outcome.metrics["test_mae"])
        print("trained")
    """
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "trained", done.stderr


def test_hybrids_tell_their_errors_without_a_channel() -> None:
    """As computed with tables that are replaced by hand in the loaded model."""
    spec = dataclasses.replace(spec_of("cgcnn"), mixings={label: label for label in ("H", "0")})
    dataset = dataset_of("cgcnn")
    found = by_key(fit(spec, dataset))
    names = {f"{part}_{how}_error" for part in ("h", "l") for how in ("mean", "permuted")}
    assert not names & found["H"].metrics.keys()
    told = found["0"].metrics
    assert len({told[name] for name in ("test_error", *names)}) == 5

    training = ArrayFit(spec, dataset)
    data, split, scaler = training.data, training.split, training.scaler
    embedding = training._embedding([torch.Generator()], [Member(key="0", label="0", seed=0)])
    model = build_model("cgcnn", [torch.Generator()], embedding)
    prefix = "weights/"
    arrays = found["0"].arrays
    weights = {n.removeprefix(prefix): v for n, v in arrays.items() if n.startswith(prefix)}
    model.load_state_dict({name: torch.from_numpy(value)[None] for name, value in weights.items()})
    seen = torch.from_numpy(arrays["elements/numbers"]).long()
    with torch.no_grad():
        embedding.table[:, seen] = embedding.table[:, seen].mean(dim=1, keepdim=True)
    said = predictions(model, data, torch.from_numpy(split.test))[0].numpy()
    value = said * scaler.scale + scaler.mean
    error = np.abs(value - dataset.targets_of(split.test)).mean()
    assert told["l_mean_error"] == pytest.approx(error, rel=1e-5)


def test_the_recipe_says_how_the_learned_vectors_start() -> None:
    """A frozen table stays as drawn; one from zero leaves the rows of unseen elements there."""
    mixings = {label: label for label in ("0", "residual")}
    left = {}
    for start in ("zero", "frozen"):
        recipe = dataclasses.replace(RECIPE, element_init=start)
        spec = dataclasses.replace(spec_of("cgcnn"), mixings=mixings, recipe=recipe)
        left[start] = by_key(fit(spec, dataset_of("cgcnn")))
    zero, frozen = left["zero"]["0"], left["frozen"]["0"]
    seen = zero.arrays["elements/numbers"]
    unseen = np.setdiff1d(np.arange(119), seen)
    table = zero.arrays["weights/embedding.table"]
    assert not table[unseen].any()
    assert table[seen].any(axis=1).all()
    assert "log_ratio_start" not in zero.metrics
    assert zero.metrics["log_ratio_end"] < 0
    assert frozen.metrics["log_ratio_start"] > 0
    drawn = torch.randn(119, DIM, generator=_after_projection(spec_of("cgcnn")))
    assert np.array_equal(frozen.arrays["weights/embedding.table"], drawn.numpy())
    residual = left["zero"]["residual"].arrays
    counts = residual["elements/counts"]
    weights = residual["weights/embedding.w_l"][seen, 0]
    np.testing.assert_allclose(weights, counts / (counts + 10.0), rtol=1e-6)


def _after_projection(spec: ArraySpec) -> torch.Generator:
    """The generator of initial weights once the projection is drawn."""
    initial, _ = np.random.SeedSequence([spec.seed, spec.fold]).generate_state(2)
    generator = torch.Generator().manual_seed(int(initial))
    torch.rand((92, DIM), generator=generator)
    torch.rand((1, DIM), generator=generator)
    return generator
