"""Records of small models."""

from __future__ import annotations

from typing import Any

import numpy as np


def row(key: str, **more: Any) -> dict[str, Any]:
    return {
        "key": key, "task": "salts", "backbone": "cgcnn", "dim": 2, "mixing": "H", "fold": 0,
        "seed": 0, "recipe": "tuned", "status": "done", "metric": "mae", "train_error": 1.0,
        "val_error": 2.0, "test_error": 3.0, "dummy_error": 9.0, "train_mae": 1.0, "val_mae": 2.0,
        "test_mae": 3.0, "dummy_mae": 9.0, "scores": None,
        "log_ratio_start": None, "log_ratio_end": -0.5,
        "h_mean_error": 2.0, "h_permuted_error": 3.0, "l_mean_error": 0.5, "l_permuted_error": 0.75,
        "n_train": 6, "n_val": 2, "n_test": 1,
        "epochs": 5, "best_epoch": 4, "parameters": 100, "seconds": 0.5,
        "target": "energy", "unit": None, "spec": "{}", "array": "salts/fold0/cgcnn/d2",
        "device": "cpu", "kernels": "none", "threads": 1, "versions": "{}", "error": "",
        **more,
    }  # fmt: skip


def arrays(number: int = 0) -> dict[str, np.ndarray]:
    """The arrays of a model with 3 elements and 2 dimensions."""
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2) + number
    return {
        "curve/val_mae": np.array([3.0, 2.0]),
        "elements/numbers": np.array([3, 9, 11], dtype=np.uint8),
        "elements/counts": np.array([5, 6, 1]),
        "elements/mixed": vectors,
        "elements/h": -vectors,
        "predictions/validation/row": np.array([0, 2]),
        "predictions/validation/value": np.array([0.5, 1.5]) + number,
        "predictions/test/row": np.array([3]),
        "predictions/test/value": np.array([2.5]) + number,
        "weights/w": np.ones((2, 2), dtype=np.float32),
    }
