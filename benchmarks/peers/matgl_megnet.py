"""matgl's MEGNet as a side of a comparison; runs in an environment that has matgl.

    PEER/bin/python benchmarks/peers/matgl_megnet.py

Its own model, graph converter, data set, collation, loader and loss. In its favour, the loop is a
plain one: no Lightning trainer, no logging, no checkpoints on disk.
"""

from __future__ import annotations

import copy
import gzip
import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from matgl.ext.pymatgen import Structure2Graph, get_element_list  # type: ignore[import-not-found]
from matgl.graph.data import MGLDataLoader, MGLDataset  # type: ignore[import-not-found]
from matgl.layers import BondExpansion  # type: ignore[import-not-found]
from matgl.models import MEGNet  # type: ignore[import-not-found]
from matgl.utils.training import ModelLightningModule  # type: ignore[import-not-found]
from pymatgen.core import Structure
from serving import serve  # type: ignore[import-not-found]
from torch import Tensor
from torch.utils.data import Subset

CUTOFF = 4.0  # Å
CENTRES = 25
WIDTH = 1 / (2 * 0.4**2)  # Å⁻², of exp(−w·(d−μ)²)


class Matgl:
    """One model, with our hyperparameters where it has them."""

    def versions(self) -> dict[str, Any]:
        """The versions for a report."""
        return {name: version(name) for name in ("matgl", "torch", "torch-geometric", "numpy")}

    def start(self, *, folder: str, dim: int, batch_size: int, seed: int) -> dict[str, Any]:
        """Reads the structures, makes the graphs and builds the model."""
        torch.set_num_threads(1)
        torch.manual_seed(seed)
        ids, structures, targets = _read(Path(folder) / "structures.json.gz")
        elements = get_element_list(structures)
        dataset = MGLDataset(
            structures=structures,
            labels={"target": targets},
            converter=Structure2Graph(element_types=elements, cutoff=CUTOFF),
            root=str(Path(folder) / "matgl"),  # created even if nothing is stored
            save_cache=False,
        )
        split = json.loads((Path(folder) / "split.json").read_text())
        place = {name: row for row, name in enumerate(ids)}
        rows = {part: [place[name] for name in names] for part, names in split.items()}
        self.train, self.validation, self.test = MGLDataLoader(
            train_data=Subset(dataset, rows["train"]),
            val_data=Subset(dataset, rows["validation"]),
            test_data=Subset(dataset, rows["test"]),
            batch_size=batch_size,
            num_workers=0,
        )
        known = torch.tensor([targets[row] for row in rows["train"]])
        self.scale = float(known.std(correction=0))
        self.module = ModelLightningModule(
            _model(elements, dim), data_mean=float(known.mean()), data_std=self.scale
        )
        self.optimiser = torch.optim.Adam(self.module.parameters(), lr=1e-3)
        self.best: tuple[float, dict[str, Tensor]] = (float("inf"), {})
        return {}

    def epochs(self, *, count: int) -> dict[str, Any]:
        """Trains `count` epochs; seconds, training losses (standardised) and validation MAEs."""
        start = time.perf_counter()
        losses, maes = [], []
        for _ in range(count):
            losses.append(self._optimise())
            maes.append(self._mae(self.validation))
            if maes[-1] < self.best[0]:
                self.best = (maes[-1], copy.deepcopy(self.module.state_dict()))
        seconds = time.perf_counter() - start
        return {"seconds": seconds, "train_loss": [losses], "val_mae": [maes]}

    def _optimise(self) -> float:
        self.module.train()
        total, seen = 0.0, 0
        for batch in self.train:
            results, size = self.module.step(batch)
            self.optimiser.zero_grad(set_to_none=True)
            results["Total_Loss"].backward()
            self.optimiser.step()
            total += results["Total_Loss"].item() * size
            seen += size
        return total / seen / self.scale**2

    @torch.no_grad()
    def _mae(self, batches: Any) -> float:
        self.module.eval()
        total, seen = 0.0, 0
        for batch in batches:
            results, size = self.module.step(batch)
            total += results["MAE"].item() * size
            seen += size
        return total / seen

    def whole(self, *, epochs: int, **arguments: Any) -> dict[str, Any]:
        """A training run from start to finish, including the test of the best weights."""
        self.start(**arguments)
        answer = self.epochs(count=epochs)
        self.module.load_state_dict(self.best[1])
        return answer | {"test_mae": [self._mae(self.test)]}


def _read(path: Path) -> tuple[list[str], list[Structure], list[float]]:
    with gzip.open(path, "rt") as file:
        content = json.load(file)
    structures = [Structure.from_dict(row[0]) for row in content["data"]]
    return content["index"], structures, [float(row[1]) for row in content["data"]]


def _model(elements: tuple[str, ...], dim: int) -> MEGNet:
    return MEGNet(
        element_types=elements,
        dim_node_embedding=dim,
        dim_edge_embedding=CENTRES,
        bond_expansion=BondExpansion(
            rbf_type="Gaussian", initial=0.0, final=CUTOFF, num_centers=CENTRES, width=WIDTH
        ),
        cutoff=CUTOFF,
        niters_set2set=3,
    )


if __name__ == "__main__":
    side = Matgl()
    serve({name: getattr(side, name) for name in ("versions", "start", "epochs", "whole")})
