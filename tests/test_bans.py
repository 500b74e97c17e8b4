"""Calls that execute the content of files do not pass the linter, under any name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BANNED = """
import torch; torch.load("x")
import torch; torch.load("x", weights_only=False)
from torch import load
from torch.serialization import load
import torch.serialization; torch.serialization.load("x")
import numpy as np; np.load("x", allow_pickle=True)
import pandas as pd; pd.read_pickle("x")
import joblib
import cloudpickle
import ray.cloudpickle
from ray import cloudpickle
import dill
import marshal
import pickle
from pickle import loads
import _pickle
import shelve
import yaml; yaml.load("x", Loader=yaml.Loader)
import yaml; yaml.unsafe_load("x")
import yaml; yaml.full_load("x")
import yaml; yaml.full_load_all("x")
from monty.json import MontyDecoder
from monty.serialization import loadfn
eval("1")
exec("1")
""".strip().splitlines()


def found(text: str) -> set[int]:
    """Lines in which ruff, as the project sets it, finds what is banned."""
    done = subprocess.run(
        [Path(sys.executable).parent / "ruff", "check", "--no-cache", "--output-format=concise",
         "--stdin-filename", "orchestrator/probe.py", "-"],
        input=text, cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return {int(line) for line in re.findall(r"probe\.py:(\d+):\d+: (?:TID251|S\d+) ", done.stdout)}


def test_harmless_lines_pass() -> None:
    assert found("import json\nimport yaml\n\nyaml.safe_load(json.dumps(1))\n") == set()


@pytest.mark.parametrize("line", BANNED)
def test_what_is_banned_is_found(line: str) -> None:
    assert found(f"{line}\n") == {1}, line
