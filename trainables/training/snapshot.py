"""Saves and restores an array in training as bytes.

The bytes are a SHA-256 and then safetensors: weights, optimiser, averages and best weights of all
members, and in its metadata the histories, the epoch and the states of the random generators. A
resumed training gives the same bits as an uninterrupted one if it has the same members.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from trainables.training.array import ArrayTraining, History

FORMAT = 3
DIGEST = 32  # bytes


class SnapshotError(ValueError):
    """Bytes that are no snapshot of this training; one line."""


def save(training: ArrayTraining) -> bytes:
    """The state of an array between two epochs."""
    optimiser, problem = training.optimiser.state_dict(), training.problem.state_dict()
    noise = {name: value for name, value in problem.items() if isinstance(value, Tensor)}
    parts = {
        "model": training.model.state_dict(),
        "average": {} if training.average.model is training.model
        else training.average.model.state_dict(),
        "best": training.best,
        "optimiser": _flat(optimiser["state"]),
        "problem": noise,
    }  # fmt: skip
    tensors = {
        f"{part}/{name}": value.detach().cpu().contiguous().clone()
        for part, values in parts.items()
        for name, value in values.items()
    }
    state = {
        "format": FORMAT,
        "epoch": training.epoch,
        "histories": [_history_state(history) for history in training.active],
        "average": training.average.state_dict(),
        "optimiser": optimiser["param_groups"],
        "problem": {name: value for name, value in problem.items() if name not in noise},
    }
    content = safetensors.save(tensors, {"state": json.dumps(state)})
    return hashlib.sha256(content).digest() + content


def load(training: ArrayTraining, content: bytes) -> None:
    """Restores a snapshot into an array that has just been made.

    The snapshot may hold more members, which have finished since; they are left out.

    Raises:
        SnapshotError: it is damaged, of another version, or lacks one of the array's members; the
            array cannot be used then.
    """
    state = _state(content)
    try:
        _load(training, state, content)
    except SnapshotError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError,
            SafetensorError) as error:  # fmt: skip
        # Complete, but written by other code: the array starts again as a whole, as its models
        # trained alone would have other bits.
        raise SnapshotError(f"of another kind ({type(error).__name__})") from None


def _load(training: ArrayTraining, state: dict[str, Any], content: bytes) -> None:
    keys = [history["key"] for history in state["histories"]]
    wanted = [history.member.key for history in training.active]
    if not set(wanted) <= set(keys):
        raise SnapshotError("a snapshot of other models")
    rows = [keys.index(key) for key in wanted]
    tensors = safetensors.load(content[DIGEST:])
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        part, _, rest = name.partition("/")
        parts.setdefault(part, {})[rest] = value
    device = training.problem.device

    def own(part: str) -> dict[str, Tensor]:
        return {name: value[rows].to(device) for name, value in parts.get(part, {}).items()}

    training.model.load_state_dict(own("model"))
    if parts.get("average"):
        training.average.model.load_state_dict(own("average"))
    training.best = own("best")
    training.optimiser.load_state_dict(
        {
            "state": _by_parameter(parts.get("optimiser", {}), rows),
            "param_groups": state["optimiser"],
        }
    )
    training.average.load_state_dict(state["average"], rows)
    training.problem.load_state_dict(state["problem"] | parts.get("problem", {}))
    training.epoch = state["epoch"]
    for history, row in zip(training.active, rows, strict=True):
        _load_history(history, state["histories"][row])


def _state(content: bytes) -> dict[str, Any]:
    digest, rest = content[:DIGEST], content[DIGEST:]
    if hashlib.sha256(rest).digest() != digest:
        raise SnapshotError("damaged (SHA-256 differs)")
    try:
        length = int.from_bytes(rest[:8], "little")
        header = json.loads(rest[8 : 8 + length])
        state: dict[str, Any] = json.loads(header["__metadata__"]["state"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SnapshotError("no snapshot") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise SnapshotError("of another version")
    return state


def _history_state(history: History) -> dict[str, Any]:
    values = {
        field.name: getattr(history, field.name)
        for field in dataclasses.fields(history)
        if field.name != "member"
    }
    return {"key": history.member.key, **values}


def _load_history(history: History, state: dict[str, Any]) -> None:
    for name, value in state.items():
        if name != "key":
            setattr(history, name, value)


def _flat(state: dict[int, dict[str, Any]]) -> dict[str, Tensor]:
    """An optimiser's tensors by "position of the parameter/name"."""
    return {
        f"{place}/{name}": torch.as_tensor(value)
        for place, values in state.items()
        for name, value in values.items()
        if value is not None
    }


def _by_parameter(flat: dict[str, Tensor], rows: list[int]) -> dict[int, dict[str, Tensor]]:
    """The inverse of `_flat` for some of the members; tensors without a member axis count steps."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in flat.items():
        place, _, own = name.partition("/")
        state.setdefault(int(place), {})[own] = value[rows] if value.dim() else value
    return state
