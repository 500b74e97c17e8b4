"""A cluster says which of its configured nodes it has not."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config

from orchestrator.doctor.nodes import all_there
from orchestrator.nodes.missing import missing_of
from tests.test_cluster_yaml import ROOT

HEAD, ONE, OTHER = "192.0.2.10", "192.0.2.11", "192.0.2.12"


def configured(name: str) -> dict[str, Any]:
    """The file that `ray up` writes on the head."""
    config = prepare_config(yaml.safe_load((ROOT / name).read_text()))
    assert isinstance(config, dict)
    return config


@pytest.mark.parametrize(
    ("here", "said"),
    [
        ([HEAD, ONE, OTHER], ""),
        ([HEAD, OTHER], f"2 of 3 configured nodes are here, missing: {ONE}"),
        ([HEAD], f"1 of 3 configured nodes are here, missing: {ONE}, {OTHER}"),
    ],
)
def test_machines_of_ones_own_are_missed_by_address(here: list[str], said: str) -> None:
    assert missing_of(configured("deploy/cluster.local.yaml"), HEAD, here) == said


def test_a_file_that_another_cluster_left_says_nothing() -> None:
    assert missing_of(configured("deploy/cluster.local.yaml"), "192.0.2.99", ["192.0.2.99"]) == ""


def test_machines_of_a_cloud_are_missed_by_number() -> None:
    config = configured("cluster.yaml")
    assert missing_of(config, HEAD, [HEAD]) == ""  # all of them may be scaled away
    config["available_node_types"]["gpu_l4"]["min_workers"] = 3
    said = "2 of 4 configured nodes are here, missing: 2"
    assert missing_of(config, HEAD, [HEAD, ONE]) == said


@pytest.mark.parametrize("config", [{}, {"provider": None}, {"available_node_types": None}])
def test_a_file_without_nodes_says_nothing(config: dict[str, Any]) -> None:
    assert missing_of(config, HEAD, [HEAD]) == ""


def test_doctor_calls_it_bad() -> None:
    assert all_there("") == []
    (found,) = all_there("2 of 3")
    assert found.verdict == "bad" and found.fix
