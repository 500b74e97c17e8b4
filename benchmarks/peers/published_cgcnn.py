"""The published CGCNN as a side of a comparison; the steps are those of its main.py.

    python benchmarks/peers/published_cgcnn.py CHECKOUT

Its own model, data set with its cache, collation and data loaders. In its favour, this loop prints
nothing, validates without building gradients, keeps the best weights in memory rather than writing
two checkpoints per epoch, and flushes the denormal numbers that the published code makes.
"""

from __future__ import annotations

import copy
import json
import sys
import time
import warnings
from importlib import import_module
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import numpy as np
import torch
from serving import serve  # type: ignore[import-not-found]
from torch import Tensor, nn
from torch.optim.lr_scheduler import MultiStepLR
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.sampler import SubsetRandomSampler

Batch = tuple[tuple[Any, ...], Tensor, list[str]]


class GraphFile(Dataset[Any]):
    """Items like those of CIFData, from precomputed neighbour lists; cached once made."""

    def __init__(self, path: Path, basis: Any) -> None:
        content = np.load(path)  # noqa: TID251 - of arrays alone: allow_pickle is off
        self.arrays = {name: content[name] for name in content.files}
        self.basis = basis
        pairs = zip(self.arrays["ids"].tolist(), self.arrays["target"].tolist(), strict=True)
        self.id_prop_data = list(pairs)
        self._made: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self.id_prop_data)

    def __getitem__(self, row: int) -> Any:
        if row not in self._made:
            self._made[row] = self._item(row)
        return self._made[row]

    def _item(self, row: int) -> Any:
        arrays = self.arrays
        atoms = slice(*arrays["node_ptr"][row : row + 2])
        graph = (
            torch.Tensor(arrays["vectors"][arrays["z"][atoms]]),
            torch.Tensor(self.basis.expand(arrays["distance"][atoms])),
            torch.LongTensor(arrays["neighbours"][atoms]),
        )
        name, target = self.id_prop_data[row]
        return graph, torch.Tensor([target]), name


class Published:
    """One model of the published code, trained as its main.py does."""

    def start(
        self,
        *,
        folder: str,
        dim: int,
        batch_size: int,
        seed: int,
        device: str = "cpu",
        flush_denormal: bool = True,
    ) -> dict[str, Any]:
        """Opens the data set and builds the model; crystals are read when first asked for.

        Args:
            folder: has CIF files, or the `graphs.npz` of `benchmarks.published_graphs`.
            flush_denormal: treats numbers below 1e-38 as 0. Some Gaussians of an edge are such
                numbers, with which some processors, not all, are many times slower.
        """
        torch.set_num_threads(1)
        torch.set_flush_denormal(flush_denormal)
        torch.manual_seed(seed)
        graphs = Path(folder) / "graphs.npz"
        if graphs.exists():
            _without_pymatgen()
        published, networks = import_module("cgcnn.data"), import_module("cgcnn.model")
        dataset = (
            GraphFile(graphs, published.GaussianDistance(dmin=0, dmax=8, step=0.2))
            if graphs.exists()
            else published.CIFData(folder)
        )
        warnings.filterwarnings("ignore", message=".*not find enough neighbors")
        self.dataset, self.collate = dataset, published.collate_pool
        self.device = torch.device(device)
        self.place = {name: index for index, (name, _) in enumerate(dataset.id_prop_data)}
        split = json.loads((Path(folder) / "split.json").read_text())
        self.loaders = {
            part: DataLoader(
                dataset,
                batch_size=batch_size,
                sampler=SubsetRandomSampler([self.place[name] for name in names]),
                collate_fn=self.collate,
                pin_memory=self.device.type == "cuda",
            )
            for part, names in split.items()
        }
        known = self._sample_of_targets(seed)
        self.mean, self.scale = known.mean(), known.std()
        atoms, bonds, _ = dataset[0][0]
        self.model = networks.CrystalGraphConvNet(
            atoms.shape[-1], bonds.shape[-1], atom_fea_len=dim, n_conv=3, h_fea_len=128
        ).to(self.device)
        self._optimise()
        return {}

    def _sample_of_targets(self, seed: int) -> Tensor:
        """Targets of 500 crystals (or all, if fewer), by which main.py standardises."""
        rows = Random(seed).sample(range(len(self.dataset)), min(500, len(self.dataset)))
        return torch.stack([self.dataset[row][1] for row in rows])

    def _optimise(self) -> None:
        self.optimiser = torch.optim.SGD(self.model.parameters(), 0.01, momentum=0.9)
        self.scheduler = MultiStepLR(self.optimiser, milestones=[100], gamma=0.1)
        self.best: tuple[float, dict[str, Tensor]] = (float("inf"), {})

    def epochs(self, *, count: int) -> dict[str, Any]:
        """Trains `count` epochs; seconds, training losses and validation MAEs."""
        start = time.perf_counter()
        losses, maes = [], []
        for _ in range(count):
            losses.append(self._train(self.loaders["train"]))
            maes.append(self._validate(self.loaders["validation"]))
            self.scheduler.step()
            if maes[-1] < self.best[0]:
                self.best = (maes[-1], copy.deepcopy(self.model.state_dict()))
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "train_loss": [losses], "val_mae": [maes]}

    def _inputs(self, batch: Batch) -> tuple[tuple[Any, ...], Tensor]:
        (atoms, bonds, neighbours, crystals), target, _ = batch
        if self.device.type == "cuda":
            atoms, bonds, neighbours = (
                part.cuda(non_blocking=True) for part in (atoms, bonds, neighbours)
            )
            crystals = [crystal.cuda(non_blocking=True) for crystal in crystals]
        return (atoms, bonds, neighbours, crystals), target

    def _train(self, batches: Any) -> float:
        self.model.train()
        criterion = nn.MSELoss()
        total, seen = 0.0, 0
        for batch in batches:
            inputs, target = self._inputs(batch)
            normed = ((target - self.mean) / self.scale).to(self.device, non_blocking=True)
            loss = criterion(self.model(*inputs), normed)
            total += loss.item() * len(target)
            seen += len(target)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
        return total / seen

    @torch.no_grad()
    def _validate(self, batches: Any) -> float:
        self.model.eval()
        total, seen = 0.0, 0
        for batch in batches:
            inputs, target = self._inputs(batch)
            value = self.model(*inputs).cpu() * self.scale + self.mean
            total += (value - target).abs().sum().item()
            seen += len(target)
        return total / seen

    def same(
        self, *, weights: str, batches: list[list[str]], epochs: int, mean: float, scale: float
    ) -> dict[str, Any]:
        """Trains epochs from given weights over given batches; the losses of each epoch."""
        self._copy(weights)
        self._optimise()
        self.mean, self.scale = torch.tensor(mean), torch.tensor(scale)
        losses, maes = [], []
        per_epoch = len(batches) // epochs
        for epoch in range(epochs):
            chosen = batches[epoch * per_epoch : (epoch + 1) * per_epoch]
            losses.append(
                self._train(
                    self.collate([self.dataset[self.place[name]] for name in names])
                    for names in chosen
                )
            )
            maes.append(self._validate(self.loaders["validation"]))
            self.scheduler.step()
        return {"train_loss": losses, "val_mae": maes}

    def _copy(self, path: str) -> None:
        """Copies weights of our CGCNN, mapped as in tests/models/test_published_cgcnn.py."""
        ours = {name: torch.from_numpy(value[0]) for name, value in np.load(path).items()}  # noqa: TID251 - as above

        def linear(layer: nn.Linear, name: str) -> None:
            layer.weight.data = ours[f"{name}.weight"].T.clone().to(self.device)
            layer.bias.data = ours[f"{name}.bias"][0].clone().to(self.device)

        linear(self.model.embedding, "embedding.projection")
        linear(self.model.conv_to_fc, "pooled")
        linear(self.model.fc_out, "out")
        for layer, conv in enumerate(self.model.convs):
            parts = [ours[f"convolutions.{layer}.{part}"] for part in ("own", "other", "edge")]
            conv.fc_full.weight.data = torch.cat(parts).T.clone().to(self.device)
            conv.fc_full.bias.data.zero_()  # ours has none, as the batch norm would subtract it

    def whole(self, *, epochs: int, **arguments: Any) -> dict[str, Any]:
        """A training run from start to finish, including the test of the best weights."""
        self.start(**arguments)
        answer = self.epochs(count=epochs)
        self.model.load_state_dict(self.best[1])
        return answer | {"test_mae": [self._validate(self.loaders["test"])]}


def _without_pymatgen() -> None:
    """Lets the published data module be imported where there is no pymatgen to read CIF files."""
    try:
        import pymatgen.core.structure  # noqa: F401
    except ModuleNotFoundError:
        absent = ModuleType("pymatgen.core.structure")
        absent.Structure = None  # type: ignore[attr-defined]
        sys.modules.update({"pymatgen": absent, "pymatgen.core": absent, absent.__name__: absent})


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    side = Published()
    serve({name: getattr(side, name) for name in ("start", "epochs", "same", "whole")})
