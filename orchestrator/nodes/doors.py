"""Who may come in: the token of this machine's user, and whether a cluster asks for it."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

import grpc

from orchestrator.nodes.ray_internals import ask_head_whether_alive

SECONDS = 5.0


def takes_strangers(address: str) -> bool:
    """Whether the head at `address` answers one who shows no token."""
    with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            ask_head_whether_alive(channel, SECONDS)
        except grpc.RpcError:  # it asks for a token or a certificate, or is no head at all
            return False
    return True


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
