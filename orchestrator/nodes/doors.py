"""Who may come in: the token of this machine's user, and whether a cluster asks for it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
from ray._private import ray_constants
from ray.core.generated.gcs_service_pb2 import CheckAliveRequest  # type: ignore[attr-defined]
from ray.core.generated.gcs_service_pb2_grpc import NodeInfoGcsServiceStub

SECONDS = 5.0


def takes_strangers(address: str) -> bool:
    """Whether the head at `address` answers one who shows no token."""
    with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            NodeInfoGcsServiceStub(channel).CheckAlive(CheckAliveRequest(), timeout=SECONDS)
        except grpc.RpcError:  # it asks for a token or a certificate, or is no head at all
            return False
    return True


@contextmanager
def on_loopback() -> Iterator[None]:
    """Within it a runtime that begins listens on this machine's loopback alone, with all its ports.

    So Ray does by itself on macOS and Windows, to be asked nothing by their firewalls. Elsewhere it
    takes the machine's address in the network even where it is given the loopback's.
    """
    was = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = was


def keep_token_to_oneself() -> None:
    """Makes the token of local runtimes, for its owner alone to read.

    Ray would make it too, readable by all users of the machine; one that it has made so is mended.
    A token that the environment names is the person's own business.
    """
    named = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ)
    if named or os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        return
    file = Path.home() / ".ray" / "auth_token"
    with suppress(OSError):  # Ray will say what is wrong with the home
        if file.exists():
            if file.stat().st_mode & 0o077:
                file.chmod(0o600)
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}.tmp")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
            new.write(secrets.token_hex(32))
        try:
            os.link(draft, file)  # never over the token of another job that begins now
        finally:
            draft.unlink()
