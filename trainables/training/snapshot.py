"""An array in the middle of its training, as bytes: what it takes to go on as if nothing had been.

The bytes are a SHA-256 and then safetensors: weights, optimiser, averages and best weights of all
members, and in its metadata the courses so far, the epoch and the states of the random generators.
Going on gives the same bits as never having stopped, where the same members go on together.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from trainables.training.array import ArrayTraining, Course

FORMAT = 2
DIGEST = 32  # bytes


class SnapshotError(ValueError):
    """Bytes that are no snapshot of this training, in one line."""


def take(training: ArrayTraining) -> bytes:
    """All of an array's state between two epochs."""
    optimiser = training.optimiser.state_dict()
    parts = {
        "model": training.model.state_dict(),
        "average": {} if training.average.model is training.model
        else training.average.model.state_dict(),
        "best": training.best,
        "optimiser": _flat(optimiser["state"]),
        "problem": training.problem.tensors(),
    }  # fmt: skip
    tensors = {
        f"{part}/{name}": value.detach().cpu().contiguous().clone()
        for part, values in parts.items()
        for name, value in values.items()
    }
    facts = {
        "format": FORMAT,
        "epoch": training.epoch,
        "courses": [_course_facts(course) for course in training.active],
        "average": training.average.facts(),
        "optimiser": optimiser["param_groups"],
        "problem": training.problem.facts(),
    }
    content = save(tensors, {"facts": json.dumps(facts)})
    return hashlib.sha256(content).digest() + content


def restore(training: ArrayTraining, content: bytes) -> None:
    """Puts an array that has just been made where a snapshot was taken.

    The snapshot may hold more members, which have finished since; they are left out.

    Raises:
        SnapshotError: damaged, of another version, or without one of the array's members; the array
            is then of no use.
    """
    facts = _facts(content)
    try:
        _restore(training, facts, content)
    except SnapshotError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError,
            SafetensorError) as error:  # fmt: skip
        # Whole, and not what this code writes: the training begins again as an array, for its
        # models alone would be other bits.
        raise SnapshotError(f"of another kind ({type(error).__name__})") from None


def _restore(training: ArrayTraining, facts: dict[str, Any], content: bytes) -> None:
    keys = [course["key"] for course in facts["courses"]]
    wanted = [course.member.key for course in training.active]
    if not set(wanted) <= set(keys):
        raise SnapshotError("a snapshot of other models")
    rows = [keys.index(key) for key in wanted]
    tensors = load(content[DIGEST:])
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        part, _, rest = name.partition("/")
        parts.setdefault(part, {})[rest] = value
    device = training.problem.like.device

    def own(part: str) -> dict[str, Tensor]:
        return {name: value[rows].to(device) for name, value in parts.get(part, {}).items()}

    training.model.load_state_dict(own("model"))
    if parts.get("average"):
        training.average.model.load_state_dict(own("average"))
    training.best = own("best")
    training.optimiser.load_state_dict(
        {
            "state": _by_parameter(parts.get("optimiser", {}), rows),
            "param_groups": facts["optimiser"],
        }
    )
    training.average.restore(facts["average"], rows)
    training.problem.restore(facts["problem"], parts.get("problem", {}))
    training.epoch = facts["epoch"]
    for course, row in zip(training.active, rows, strict=True):
        _restore_course(course, facts["courses"][row])


def _facts(content: bytes) -> dict[str, Any]:
    digest, rest = content[:DIGEST], content[DIGEST:]
    if hashlib.sha256(rest).digest() != digest:
        raise SnapshotError("damaged (SHA-256 differs)")
    try:
        length = int.from_bytes(rest[:8], "little")
        header = json.loads(rest[8 : 8 + length])
        facts: dict[str, Any] = json.loads(header["__metadata__"]["facts"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SnapshotError("no snapshot") from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise SnapshotError("of another version")
    return facts


def _course_facts(course: Course) -> dict[str, Any]:
    values = {
        field.name: getattr(course, field.name)
        for field in dataclasses.fields(course)
        if field.name != "member"
    }
    return {"key": course.member.key, **values}


def _restore_course(course: Course, facts: dict[str, Any]) -> None:
    for name, value in facts.items():
        if name != "key":
            setattr(course, name, value)


def _flat(state: dict[int, dict[str, Any]]) -> dict[str, Tensor]:
    """An optimiser's tensors as "place of the parameter/name"."""
    return {
        f"{place}/{name}": torch.as_tensor(value)
        for place, values in state.items()
        for name, value in values.items()
        if value is not None
    }


def _by_parameter(flat: dict[str, Tensor], rows: list[int]) -> dict[int, dict[str, Tensor]]:
    """What `_flat` was made of, with some of the members; what has no members counts steps."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in flat.items():
        place, _, own = name.partition("/")
        state.setdefault(int(place), {})[own] = value[rows] if value.dim() else value
    return state
