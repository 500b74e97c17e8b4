"""Private cache folders of the user, for compiled code that is stored and later run.

Whoever can write or replace such a folder can run code as this user.
"""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import tempfile
from pathlib import Path

OTHERS = stat.S_IWGRP | stat.S_IWOTH


class UntrustedFolderError(PermissionError):
    """Another user could have written the folder; names folder, reason and remedy."""


def private_cache(name: str) -> Path:
    """`elemgrid/<name>` in the user's cache folder, made with mode 0700 if missing.

    The cache folder is XDG_CACHE_HOME; a relative one is ignored, as its specification demands.

    Raises:
        UntrustedFolderError: another user owns it, or can write or replace it.
        OSError: it cannot be made.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(named) if os.path.isabs(named) else _home() / ".cache"
    folder = base.resolve() / "elemgrid" / name
    for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    folder = folder.resolve()
    for own in (folder, folder.parent):
        _demand_private(own)
    for above in folder.parents[1:]:
        _demand_steady(above)
    return folder


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:  # neither HOME nor an entry in the user database
        raise FileNotFoundError(str(error)) from None


def _demand_private(folder: Path) -> None:
    found = folder.stat()
    if found.st_uid != os.getuid():
        raise UntrustedFolderError(
            f"{folder} belongs to another user (uid {found.st_uid}), and what lies there is run;"
            " name a folder of your own by XDG_CACHE_HOME"
        )
    if found.st_mode & OTHERS:
        raise UntrustedFolderError(
            f"others can write {folder}, and what lies there is run; remove it, or name another"
            " one by XDG_CACHE_HOME"
        )


def _demand_steady(folder: Path) -> None:
    """Checks that no other user can rename its content: neither its owner nor users who may write.

    The owner of the root folder can do anything anyway. Folders shared by a group are accepted.
    """
    found = folder.stat()
    loose = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
    if loose or found.st_uid not in (0, os.getuid(), Path("/").stat().st_uid):
        raise UntrustedFolderError(
            f"another user can replace what is in {folder}, and what lies there is run; name a"
            " folder of your own by XDG_CACHE_HOME"
        )


def keep_compiled_code_private() -> None:
    """Makes torch and Triton store compiled code in a private folder of the user.

    By default they use a predictable name in the shared temporary folder, which anybody can create
    first and fill with code that is run; torch creates its own as soon as its compiler is imported,
    as PyTorch Geometric does. Settings of the user are kept. To be called before that import, as
    torch keeps what it finds then.
    """
    wanted = {"TORCHINDUCTOR_CACHE_DIR": "inductor", "TRITON_CACHE_DIR": "triton"}
    if all(os.environ.get(name) for name in wanted):
        return
    try:
        folder = str(private_cache("compiled"))
    except OSError:  # no trusted, writable folder: for this process only
        folder = tempfile.mkdtemp(prefix="elemgrid-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name, below in wanted.items():
        if not os.environ.get(name):
            os.environ[name] = os.path.join(folder, below)
