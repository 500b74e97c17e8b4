"""The cluster files pass Ray's own validation, and no door in them stands open.

Without credentials and without a network: `prepare_config` fills in the provider's defaults,
`validate_config` holds the result against Ray's schema, as `ray up` does before it calls a machine.
"""

import copy
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from orchestrator.checkup import cluster_file

ROOT = Path(__file__).resolve().parent.parent
CLUSTERS = ("cluster.yaml", "deploy/cluster.local.yaml")
Config = dict[str, Any]


def load(name: str) -> Config:
    config = yaml.safe_load((ROOT / name).read_text())
    assert isinstance(config, dict)
    return config


def validated(config: Config) -> Config:
    """`config` with Ray's defaults filled in, as `ray up` would use it; raises what Ray raises."""
    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    assert isinstance(prepared, dict)
    return prepared


def open_doors(config: Config, text: str = "") -> list[str]:
    """What in a prepared cluster configuration lets strangers in; empty when nothing does."""
    return [seen for seen, _ in cluster_file.open_doors(config, text)]


@pytest.mark.parametrize("name", CLUSTERS)
def test_valid_and_closed(name: str) -> None:
    assert open_doors(validated(load(name)), (ROOT / name).read_text()) == []


@pytest.mark.parametrize("name", CLUSTERS)
def test_the_token_is_closed_on_every_node(name: str) -> None:
    """Ray makes it readable to all, and rsync keeps modes; the commands of all nodes mend that."""
    config = validated(load(name))
    assert f"chmod 600 {cluster_file.TOKEN}" in config["setup_commands"][0]
    for who in ("head", "worker"):
        assert f"chmod 600 {cluster_file.TOKEN}" in config[f"{who}_setup_commands"][0]


@pytest.mark.parametrize("name", CLUSTERS)
def test_misspelt_key_is_refused(name: str) -> None:
    config = load(name)
    config["max_workerz"] = 3
    with pytest.raises(jsonschema.ValidationError, match="max_workerz"):
        validated(config)


def test_misspelt_key_of_a_node_type_is_refused() -> None:
    config = load("cluster.yaml")
    config["available_node_types"]["gpu_l4"]["max_workerz"] = 3
    with pytest.raises(jsonschema.ValidationError, match="max_workerz"):
        validated(config)


def test_ray_defaults_stand_open() -> None:
    """The checker fires where it must: on what `ray up` does when a file leaves these out."""
    bare = {
        "cluster_name": "bare",
        "max_workers": 2,
        "provider": {"type": "aws", "region": "eu-west-1"},
    }
    doors = " | ".join(open_doors(validated(bare)))
    for expected in (
        "dashboard",
        "head starts",
        "worker starts",
        "token file",
        "world",
        "security group",
    ):
        assert expected in doors


@pytest.mark.parametrize(
    ("change", "door"),
    [
        (("--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0"), "dashboard"),
        (("RAY_AUTH_MODE=token", "RAY_AUTH_MODE=disabled"), "worker starts"),
        (("~/.ray/auth_token", "~/.ray/other"), "token file"),
        (("SecurityGroupIds", "SubnetIds"), "gpu_l4"),
        (("RAY_AUTH_MODE=token ", f"RAY_AUTH_MODE=token RAY_AUTH_TOKEN={'a1' * 32} "), "a token"),
    ],
)
def test_each_check_fires(change: tuple[str, str], door: str) -> None:
    text = (ROOT / "cluster.yaml").read_text().replace(*change)
    assert any(door in found for found in open_doors(validated(yaml.safe_load(text)), text))


def test_workers_are_spot_and_may_be_none() -> None:
    config = validated(load("cluster.yaml"))
    head = config["available_node_types"][config["head_node_type"]]
    assert not head["node_config"]["InstanceType"].startswith(("g", "p"))
    workers = [
        k for n, k in config["available_node_types"].items() if n != config["head_node_type"]
    ]
    assert workers
    for kind in workers:
        assert kind["min_workers"] == 0
        assert kind["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}


def test_local_cluster_does_not_scale() -> None:
    raw = load("deploy/cluster.local.yaml")
    assert raw["min_workers"] == raw["max_workers"] == len(raw["provider"]["worker_ips"])
    (kind,) = validated(raw)["available_node_types"].values()
    assert kind["min_workers"] == kind["max_workers"] == len(raw["provider"]["worker_ips"])


def pinned(package: str) -> str:
    (version,) = re.findall(rf"^{package}==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)
    return str(version)


def test_one_version_of_ray_torch_and_project_everywhere() -> None:
    """Nodes of two Ray versions do not talk to each other, and only the cluster would say so."""
    files = (*CLUSTERS, "deploy/Dockerfile", "deploy/rayjob.yaml", "Makefile")
    text = "\n".join((ROOT / name).read_text() for name in files)
    assert set(re.findall(r"rayproject/ray:([\d.]+)", text)) == {pinned("ray")}
    assert re.findall(r'rayVersion: "(.+)"', text) == [pinned("ray")]
    assert set(re.findall(r"torch==([\d.]+)", text)) == {pinned("torch")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(re.findall(r"elemgrid:(\d[\d.]*)", text)) == {project["version"]}


def test_every_dependency_is_pinned() -> None:
    """Those of `dev` too: what is not in constraints.txt changes under the tests' feet."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.match(r"[A-Za-z0-9_.-]+", line).group() for line in wanted}  # type: ignore[union-attr]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {line.split("==")[0] for line in lines if "==" in line and not line.startswith("#")}

    def normal(all_names: set[str]) -> set[str]:
        return {re.sub(r"[-_.]+", "-", name).lower() for name in all_names}

    assert normal(names) - normal(pins) == set()
    assert not [line for line in lines if "+cpu" in line or "://" in line]


def test_rayjob_shares_a_volume_and_asks_for_a_token() -> None:
    job = load("deploy/rayjob.yaml")
    assert job["kind"] == "RayJob"
    spec = job["spec"]
    assert spec["shutdownAfterJobFinishes"] is True
    cluster = spec["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for pod in (group["template"]["spec"] for group in pods):
        (container,) = pod["containers"]
        (mount,) = container["volumeMounts"]
        assert mount["name"] in {volume["name"] for volume in pod["volumes"]}
        assert f"--run {mount['mountPath']}/" in spec["entrypoint"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "two arguments"),
        (("us-west-2",), "two arguments"),
        (("us-west-2", "0.0.0.0/0"), "too many machines"),
        (("us-west-2", "::/0"), "no IPv4 range"),
        (("us-west-2", "203.0.113.0/24"), "placeholder"),
        (("us-west-2", "198.51.100.7"), "no IPv4 range"),
    ],
)
def test_security_group_is_not_made_for_everyone(
    arguments: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    """Refused before AWS is asked: the `aws` on the path leaves a mark when it is called."""
    done, calls = prepare_aws(tmp_path, *arguments)
    assert done.returncode == 2
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
    assert calls == ""


def test_security_group_opens_ssh_to_the_given_range_only(tmp_path: Path) -> None:
    done, calls = prepare_aws(tmp_path, "eu-west-1", "198.51.100.7/32")
    assert done.returncode == 0, done.stderr
    assert re.findall(r"CidrIp=([^}]+)", calls) == ["198.51.100.7/32"]
    assert "FromPort=22,ToPort=22" in calls
    assert "UserIdGroupPairs=[{GroupId=sg-1}]" in calls
    assert "SecurityGroupIds: &firewall [sg-1]" in done.stdout


def prepare_aws(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run deploy/aws_prepare.sh with an `aws` that notes its arguments; the result and these."""
    bash = shutil.which("bash")
    assert bash is not None
    log = folder / "calls"
    stand_in = folder / "aws"
    stand_in.write_text(
        f"#!{bash}\n"
        f'echo "$*" >> {log}\n'
        'case "$*" in *describe-vpcs*) echo vpc-1;; *create-sec*) echo sg-1;; *) echo ami-1;; esac'
    )
    stand_in.chmod(0o755)
    done = subprocess.run(
        [bash, str(ROOT / "deploy" / "aws_prepare.sh"), *arguments],
        env={"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done, log.read_text() if log.exists() else ""
