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

FORMAT = 1
DIGEST = 32  # bytes


class SnapshotError(ValueError):
    """Bytes that are no snapshot of this training, in one line."""


def take(training: ArrayTraining) -> bytes:
    """All of an array's state between two epochs."""
    parts = {
        "model": training.model.state_dict(),
        "average": {} if training.average.model is training.model
        else training.average.model.state_dict(),
        "best": training.best,
        "optimiser": _optimiser_state(training),
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
        "steps": getattr(training.optimiser, "taken", 0),
        "problem": training.problem.facts(),
    }
    content = save(tensors, {"facts": json.dumps(facts)})
    return hashlib.sha256(content).digest() + content


def restore(training: ArrayTraining, content: bytes) -> None:
    """Puts an array that has just been made where a snapshot was taken.

    The snapshot may hold more members, which have finished since; they are left out.

    Raises:
        SnapshotError: damaged, of another version, or without one of the array's members.
    """
    facts = _facts(content)
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
    _restore_optimiser(training, parts.get("optimiser", {}), rows, facts["steps"])
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
    except (ValueError, KeyError, SafetensorError):
        raise SnapshotError("no snapshot") from None
    if facts.get("format") != FORMAT:
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


def _optimiser_state(training: ArrayTraining) -> dict[str, Tensor]:
    """Tensors by parameter's place and name; those without members are counts of steps."""
    found = {}
    for place, parameter in enumerate(training.model.parameters()):
        for name, value in training.optimiser.state.get(parameter, {}).items():
            if value is not None:
                found[f"{place}/{name}"] = torch.as_tensor(value)
    return found


def _restore_optimiser(
    training: ArrayTraining, state: dict[str, Tensor], rows: list[int], steps: int
) -> None:
    parameters = list(training.model.parameters())
    device = training.problem.like.device
    for name, value in state.items():
        place, _, own = name.partition("/")
        parameter = parameters[int(place)]
        # A fused optimiser keeps its count of steps where its parameters are.
        kept = value[rows] if value.dim() else value
        training.optimiser.state[parameter][own] = kept.to(device)
    if hasattr(training.optimiser, "taken"):
        training.optimiser.taken = steps
