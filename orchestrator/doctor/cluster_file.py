"""Checks a file for `ray up` for settings that let strangers into the cluster."""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from orchestrator.doctor.finding import Finding
from orchestrator.nodes import ray_internals
from orchestrator.nodes.owners import foreign

TOKEN = "~/.ray/auth_token"
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
DASHBOARD_HOST = re.compile(r"--dashboard-host[=\s]+['\"]?([^\s'\";]+)")
WORLD = re.compile(r"\b0\.0\.0\.0\b|::/0|--(dashboard-host|node-ip-address)[=\s]+['\"]?::(?!\d)")
TOKEN_LIKE = re.compile(r"(?<!sha256:)\b[0-9a-fA-F]{32,}\b")  # but not the digest of an image
PLACEHOLDERS = re.compile(
    r"\b(ami|sg|fs)-0{17}\b|\b0{12}\b(?=[.:])|\bsha256:0{64}\b|\b192\.0\.2\.\d+\b"
)


def open_doors(config: dict[str, Any], text: str = "") -> list[tuple[str, str]]:
    """The settings that let strangers in, each with its fix.

    Args:
        config: content of the file, with or without Ray's defaults filled in.
        text: of the file.
    """
    return [*_starts(config), *_reach(config), *_secrets(text)]


def _starts(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    starts = {
        who: [line for line in _lines(config, f"{who}_start_ray_commands") if "ray start" in line]
        for who in ("head", "worker")
    }
    # If the file leaves the head's start to Ray, its dashboard listens on all interfaces.
    hosts = [DASHBOARD_HOST.findall(line) for line in starts["head"]]
    if not hosts or not all(found and set(found) <= LOOPBACK for found in hosts):
        yield "dashboard not bound to 127.0.0.1", "add --dashboard-host=127.0.0.1 to `ray start`"
    for who, lines in starts.items():
        if not lines or not all("RAY_AUTH_MODE=token" in line for line in lines):
            yield (
                f"{who} starts without RAY_AUTH_MODE=token",
                f"export RAY_AUTH_MODE=token in {who}_start_ray_commands",
            )


def _reach(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if TOKEN not in _section(config, "file_mounts"):
        yield "the token file does not reach the nodes", f"mount {TOKEN} by file_mounts"
    if any(WORLD.search(text) for text in _texts(config)):
        yield "an address open to the world", "name the addresses that you log in from"
    if _section(config, "provider").get("type") != "aws":
        return
    # Without a security group in the file, Ray makes one whose port 22 is open to 0.0.0.0/0, and
    # provider.security_group only adds rules to it. The same holds for the node types that Ray
    # fills in if a file has none.
    kinds = _section(config, "available_node_types")
    if not kinds:
        yield "no node types, so that Ray's own open SSH to the world", "add available_node_types"
    for name, kind in kinds.items():
        if not _section({"kind": kind}, "kind", "node_config").get("SecurityGroupIds"):
            yield (
                f"node type {name} leaves its security group to Ray",
                "give it SecurityGroupIds (deploy/aws_prepare.sh makes one)",
            )


def _section(config: dict[str, Any], *names: str) -> dict[str, Any]:
    """The section under a path of names; empty if there is none."""
    found: Any = config
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _lines(config: dict[str, Any], name: str) -> list[str]:
    found = config.get(name)
    return [line for line in found if isinstance(line, str)] if isinstance(found, list) else []


def _texts(config: Any) -> Iterator[str]:
    """Yields all texts of a file; parts that are referred to repeatedly are visited once."""
    left, seen = [config], set()
    while left:
        part = left.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict | list) and id(part) not in seen:
            seen.add(id(part))
            left += [*part, *part.values()] if isinstance(part, dict) else part


def _secrets(text: str) -> Iterator[tuple[str, str]]:
    if "RAY_AUTH_TOKEN=" in text or TOKEN_LIKE.search(text):
        yield "a token in the file", f"take it out; {TOKEN} is where it belongs"


def look_at_file(path: Path) -> list[Finding]:
    """The findings on one cluster file."""
    try:
        text = path.read_text(encoding="utf-8")
        config = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:160]
        return [Finding("bad", str(path), f"cannot be read ({reason})", "check the path")]
    if not isinstance(config, dict):
        return [Finding("bad", str(path), "no cluster file", "see cluster.yaml")]
    found = [Finding("bad", str(path), seen, fix) for seen, fix in open_doors(config, text)]
    left = sorted({match.group() for match in PLACEHOLDERS.finditer(text)})
    if left:
        found.append(
            Finding("note", str(path), f"still has {', '.join(left)}", "put your own values there")
        )
    if theirs := _sockets_of_others():
        found.append(
            Finding("bad", str(path), f"{theirs}; `ray up` would log in through its sockets, and"
                    " send your token there", "have it removed before `ray up`")
        )  # fmt: skip
    if _in_open_folders(config):
        found.append(
            Finding("note", str(path), "Ray's folders, in /tmp/ray, are open to every user of the"
                    " machines", "`export RAY_TMPDIR=` a folder of mode 0700 before `ray start`")
        )  # fmt: skip
    return found or [Finding("good", str(path), "no door stands open")]


def _sockets_of_others() -> str:
    """Why the folder that `ray up` uses for its sockets is another user's; "" if it is not.

    SSH does not check the owner of a socket (ControlPath).
    """
    try:
        return foreign(ray_internals.launcher_folder(getpass.getuser()))
    except (OSError, KeyError):  # it does not exist, or our uid has no name
        return ""


def _in_open_folders(config: dict[str, Any]) -> bool:
    """Whether other users of a machine reach Ray's files there; a container has no other users."""
    starts = [
        line
        for who in ("head", "worker")
        for line in _lines(config, f"{who}_start_ray_commands")
        if "ray start" in line
    ]
    closed = all("RAY_TMPDIR=" in line or "--temp-dir" in line for line in starts)
    return not closed and not _section(config, "docker")
