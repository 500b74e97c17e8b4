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

from orchestrator.doctor import cluster_file

ROOT = Path(__file__).resolve().parent.parent
CLUSTERS = ("cluster.yaml", "deploy/cluster.local.yaml")
DEPLOYED = (*CLUSTERS, "deploy/Dockerfile", "deploy/rayjob.yaml")
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
    """Settings of a prepared cluster configuration that let strangers in."""
    return [seen for seen, _ in cluster_file.open_doors(config, text)]


@pytest.mark.parametrize("name", CLUSTERS)
def test_valid_and_closed(name: str) -> None:
    assert open_doors(validated(load(name)), (ROOT / name).read_text()) == []


@pytest.mark.parametrize("name", CLUSTERS)
def test_the_token_is_closed_on_every_node(name: str) -> None:
    """Ray makes it readable to all, and rsync keeps modes; all nodes restrict it."""
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


def start_lines(config: Config, who: str) -> list[str]:
    return [line for line in config[f"{who}_start_ray_commands"] if "ray start" in line]


@pytest.mark.parametrize("name", CLUSTERS)
def test_all_configured_workers_start(name: str) -> None:
    """Ray's second autoscaler counts the head among the workers of its type, and starts fewer."""
    config = validated(load(name))
    kind = config["available_node_types"][config["head_node_type"]]
    if kind["min_workers"]:
        for line in start_lines(config, "head"):
            assert "export RAY_enable_autoscaler_v2=0" in line


@pytest.mark.parametrize("name", CLUSTERS)
def test_no_other_user_reads_or_enters(name: str) -> None:
    """Ray opens its session folders to everyone, and its metrics ask for no token."""
    config = load(name)
    lines = [line for who in ("head", "worker") for line in start_lines(config, who)]
    assert len(lines) == 2
    (folder,) = {match[1] for line in lines if (match := re.search(r"RAY_TMPDIR=(\S+);", line))}
    for line in lines:
        assert "RAY_enable_metrics_collection=0" in line
        assert re.search(r"(install -d -m|chmod) 700 .*&&", line.partition(folder)[2])
    found = {finding.line for finding in cluster_file.look_at_file(ROOT / name)}
    assert len(found) == 1 and all("still has" in line for line in found)


@pytest.mark.parametrize("who", ["head", "worker"])
@pytest.mark.parametrize(
    ("there", "begins"),
    [
        ("nothing", True),
        ("ours, for all", True),
        ("a link to ours", False),
        pytest.param(
            "another's", False, marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
        ),
    ],
)
def test_ray_starts_in_a_folder_of_its_user_alone(
    who: str, there: str, begins: bool, tmp_path: Path
) -> None:
    """Whatever somebody else has put where it goes."""
    (line,) = start_lines(load("deploy/cluster.local.yaml"), who)
    (tmp_path / "elemgrid-env" / "bin").mkdir(parents=True)
    (tmp_path / "elemgrid-env" / "bin" / "activate").touch()
    (tmp_path / ".elemgrid").mkdir()
    started = tmp_path / "started"
    env = stand_in(tmp_path, "ray", f'stat -c "%a %u" "$RAY_TMPDIR" > {started}')
    env |= {"HOME": str(tmp_path), "USER": f"test-{os.getpid()}"}
    folder = Path("/var/tmp") / f"ray-{env['USER']}"
    if there == "a link to ours":
        (tmp_path / "ours").mkdir()
        folder.symlink_to(tmp_path / "ours")
    elif there != "nothing":
        folder.mkdir()
        folder.chmod(0o777)
        os.chown(folder, 12345 if there == "another's" else os.geteuid(), -1)
    script = tmp_path / "line"
    script.write_text(line)
    try:
        run(script, env=env)
        assert started.exists() == begins
        if begins:
            assert started.read_text().split() == ["700", str(os.geteuid())]
    finally:
        if folder.is_symlink():
            folder.unlink()
        else:
            folder.rmdir()


def test_ray_down_finds_ray() -> None:
    """It calls `ray stop` from a login shell, which does not have the environment."""
    config = load("deploy/cluster.local.yaml")
    (environment,) = {
        match[1]
        for who in ("head", "worker")
        for line in start_lines(config, who)
        if (match := re.match(r"\. (\S+)/bin/activate;", line))
    }
    linked = [line for line in config["setup_commands"] if f"{environment}/bin/ray" in line]
    assert len(linked) == 1
    folder = linked[0].split()[-1].removesuffix("/ray")
    assert any(f"PATH=$PATH:{folder}'" in line for line in config["setup_commands"])


def images(text: str) -> list[str]:
    """Images that a file runs or builds on."""
    return re.findall(r"^(?:FROM| *-? *(?:\w+_)?image:(?: &\w+)?) ([^*\s]\S*)", text, re.M)


PINNED = re.compile(r"[a-z0-9][\w./-]*:[\w.-]+@sha256:[0-9a-f]{64}")


@pytest.mark.parametrize("name", DEPLOYED)
def test_images_are_named_by_digest(name: str) -> None:
    """A tag may be moved; zeros are refused by every registry until deploy/pin_images.sh ran."""
    found = images((ROOT / name).read_text())
    assert found or name == "deploy/cluster.local.yaml"
    assert [image for image in found if not PINNED.fullmatch(image)] == []


@pytest.mark.parametrize(
    "line",
    [
        "FROM rayproject/ray:2.60.0-py311",
        "  image: x.example.org/elemgrid:0.1.0",
        "  worker_image: elemgrid@sha256:ab",
        "              image: &image x/elemgrid:latest",
    ],
)
def test_an_image_by_its_tag_is_found(line: str) -> None:
    (image,) = images(line)
    assert not PINNED.fullmatch(image)


def test_the_run_directory_of_aws_is_mounted_on_every_machine() -> None:
    """The command of the docs runs in it."""
    config = load("cluster.yaml")
    assert "-v /shared:/shared" in config["docker"]["run_options"]
    assert any(
        "mount -t nfs4" in line and line.endswith(":/ /shared")
        for line in config["initialization_commands"]
    )
    assert "--run /shared/runs/" in (ROOT / "docs" / "cluster.md").read_text()


def test_machines_of_aws_install_nothing() -> None:
    """A spot machine lives for minutes at times; all that it needs is in the image."""
    prepared = validated(load("cluster.yaml"))
    for who in ("head", "worker"):
        assert not [line for line in prepared[f"{who}_setup_commands"] if "install" in line]


def pinned(package: str) -> str:
    (version,) = re.findall(rf"^{package}==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)
    return str(version)


def test_one_version_of_ray_torch_and_project_everywhere() -> None:
    """Nodes of two Ray versions do not talk to each other, and only the cluster would say so."""
    files = (*DEPLOYED, "Makefile")
    text = "\n".join((ROOT / name).read_text() for name in files)
    assert set(re.findall(r"rayproject/ray:([\d.]+)", text)) == {pinned("ray")}
    assert re.findall(r'rayVersion: "(.+)"', text) == [pinned("ray")]
    assert set(re.findall(r"torch==([\d.]+)", text)) == {pinned("torch")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(re.findall(r"elemgrid:(\d[\d.]*)", text)) == {project["version"]}


def test_every_dependency_is_pinned() -> None:
    """Including those of `dev`: packages not in constraints.txt may change between test runs."""
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
    assert spec["backoffLimit"] == 3  # started again, it trains what is missing
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
    assert "UserIdGroupPairs=[{GroupId=sg-0123456789abcdef0}]" in calls


def test_what_was_made_on_aws_stands_in_the_file(tmp_path: Path) -> None:
    """Everything but the digest of the image, which is pushed later; repeating changes nothing."""
    for _ in range(2):
        done, calls = prepare_aws(tmp_path, "eu-west-1", "198.51.100.7/32")
        assert done.returncode == 0, done.stderr
        text = (tmp_path / "cluster.yaml").read_text()
        left = {match.group() for match in cluster_file.PLACEHOLDERS.finditer(text)}
        assert left == {"sha256:" + "0" * 64}
        config = validated(yaml.safe_load(text))
        assert open_doors(config, text) == []
        assert config["provider"]["region"] == "eu-west-1"
        assert "us-west-2" not in re.sub("#.*", "", text)
        for kind in config["available_node_types"].values():
            node = kind["node_config"]
            assert node["SecurityGroupIds"] == ["sg-0123456789abcdef0"]
            assert node["IamInstanceProfile"]["Arn"].startswith("arn:aws:iam::123456789012:")
    assert "create-mount-target --file-system-id fs-0123456789abcdef0 --subnet-id subnet-2" in calls
    assert "--subnet-id subnet-1 " not in calls  # which has one


def test_digests_are_asked_for_and_written(tmp_path: Path) -> None:
    for name in ("cluster.yaml", "deploy/Dockerfile", "deploy/rayjob.yaml"):
        file = tmp_path / Path(name).name
        shutil.copy(ROOT / name, file)
        done = pin_images(tmp_path, f"echo sha256:{'5a' * 32}", file)
        assert done.returncode == 0, done.stderr
        before, after = (ROOT / name).read_text(), file.read_text()
        assert after == re.sub("@sha256:0+", f"@sha256:{'5a' * 32}", before)


@pytest.mark.parametrize(("answer", "reason"), [("exit 1", "no registry"), ("echo", "no digest")])
def test_an_image_that_no_registry_has_stays_unpinned(
    answer: str, reason: str, tmp_path: Path
) -> None:
    file = tmp_path / "Dockerfile"
    shutil.copy(ROOT / "deploy" / "Dockerfile", file)
    done = pin_images(tmp_path, answer, file)
    assert done.returncode == 2
    assert reason in done.stderr
    assert file.read_text() == (ROOT / "deploy" / "Dockerfile").read_text()


def stand_in(folder: Path, command: str, body: str) -> dict[str, str]:
    """An environment whose PATH begins with a command of this body."""
    path = folder / command
    path.write_text(f"#!{shutil.which('bash')}\n{body}\n")
    path.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def run(script: Path, *arguments: str | Path, env: dict[str, str]) -> Any:
    bash = shutil.which("bash")
    assert bash is not None
    command = [bash, str(script), *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


def pin_images(folder: Path, answer: str, file: Path) -> subprocess.CompletedProcess[str]:
    """Run deploy/pin_images.sh with a `docker` that answers so."""
    env = stand_in(folder, "docker", answer)
    done: subprocess.CompletedProcess[str] = run(ROOT / "deploy" / "pin_images.sh", file, env=env)
    return done


AWS = """
echo "$*" >> "$(dirname "$0")/calls"
case "$*" in
    *describe-vpcs*) echo vpc-1 ;;
    *get-caller-identity*) echo 123456789012 ;;
    *describe-security-groups*) echo None ;;
    *create-security-group*) echo sg-0123456789abcdef0 ;;
    *LifeCycleState*) echo available ;;
    *create-file-system*|*describe-file-systems*) echo fs-0123456789abcdef0 ;;
    *describe-mount-targets*) echo subnet-1 ;;
    *describe-subnets*) printf 'subnet-1\tsubnet-2\n' ;;
    *-repositor*) echo 123456789012.dkr.ecr.eu-west-1.amazonaws.com/elemgrid ;;
    *ssm*) echo ami-0123456789abcdef0 ;;
esac
"""


def prepare_aws(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run a copy of deploy/aws_prepare.sh with an `aws` that notes its arguments."""
    (folder / "deploy").mkdir(exist_ok=True)
    shutil.copy(ROOT / "deploy" / "aws_prepare.sh", folder / "deploy")
    if not (folder / "cluster.yaml").exists():
        shutil.copy(ROOT / "cluster.yaml", folder)
    env = stand_in(folder, "aws", AWS)
    done = run(folder / "deploy" / "aws_prepare.sh", *arguments, env=env)
    log = folder / "calls"
    return done, log.read_text() if log.exists() else ""
