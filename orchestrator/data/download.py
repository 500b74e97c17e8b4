"""Downloads one file over HTTP, with progress, resuming and a checksum."""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tqdm import tqdm

from orchestrator.interface.errors import UsageError
from orchestrator.runs.durable import sync

_CHUNK = 1 << 18  # bytes
_ATTEMPTS = 4
_TIMEOUT = 30.0  # seconds without a byte


class _OnlyEncrypted(urllib.request.HTTPRedirectHandler):
    """Refuses redirects from HTTPS to HTTP, where others could read and change the content."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The next request; raises UsageError if it would not be encrypted any more."""
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise UsageError(
                f"{req.full_url}: the server leads to {newurl}, which is not HTTPS; fetch the file"
                " by other means and name its folder by --data-dir"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Interrupted(Exception):
    """The connection failed in a way that another attempt may fix."""


def download(
    url: str,
    path: Path,
    sha256: str,
    *,
    attempts: int = _ATTEMPTS,
    pause: float = 1.0,
    quiet: bool = False,
) -> Path:
    """Downloads ``url`` to ``path`` and returns it; ``sha256`` is the start of the hex digest.

    Partial content stays in ``path + ".part"``, where this or a later call resumes; a complete
    file with another digest is deleted. ``pause`` is the wait in seconds before the second
    attempt, doubled each time. Raises UsageError in one line.
    """
    part = path.with_name(path.name + ".part")
    reason = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(attempts):
            try:
                _fetch(url, part, path.name, quiet)
                break
            except _Interrupted as error:
                reason = str(error)
                if attempt + 1 < attempts:
                    time.sleep(pause * 2**attempt)
        else:
            raise UsageError(_gave_up(url, part, reason))
        _accept(url, part, path, sha256)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written ({error.strerror or error}); free the disk or set "
            "ELEMGRID_CACHE to another folder"
        ) from None
    return path


def _gave_up(url: str, part: Path, reason: str) -> str:
    size = part.stat().st_size if part.is_file() else 0
    kept = f"; {size / 1e6:.1f} MB are kept, the same command goes on from there" if size else ""
    return (
        f"{url}: cannot be fetched ({reason}){kept}; without a network put the file "
        f"{part.name.removesuffix('.part')} into a folder and name that by --data-dir"
    )


def _fetch(url: str, part: Path, label: str, quiet: bool) -> None:
    have = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": "elemgrid", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        request = urllib.request.Request(url, headers=headers)
        opener = urllib.request.build_opener(_OnlyEncrypted)
        with opener.open(request, timeout=_TIMEOUT) as response:
            resumed = response.status == 206 and _starts_at(response, have)
            _write(response, part, have if resumed else 0, label, quiet)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:
            # Nothing is left to fetch, or the part is longer than the file: the digest decides.
            return
        if error.code in (408, 425, 429) or error.code >= 500:
            raise _Interrupted(f"HTTP {error.code}") from None
        raise UsageError(
            f"{url}: the server answers HTTP {error.code} ({error.reason}); fetch the file by "
            f"other means and name its folder by --data-dir"
        ) from None
    except urllib.error.URLError as error:
        raise _Interrupted(_no_line_breaks(error.reason)) from None
    except (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
        raise _Interrupted(_no_line_breaks(error)) from None


def _starts_at(response: http.client.HTTPResponse, offset: int) -> bool:
    return (response.headers.get("Content-Range") or "").startswith(f"bytes {offset}-")


def _write(
    response: http.client.HTTPResponse, part: Path, offset: int, label: str, quiet: bool
) -> None:
    announced = response.headers.get("Content-Length")
    total = int(announced) + offset if announced and announced.isdigit() else None
    size = offset
    bar = tqdm(
        total=total, initial=offset, desc=label, unit="B", unit_scale=True, file=sys.stderr,
        disable=quiet,
    )  # fmt: skip
    with bar, part.open("ab" if offset else "wb") as file:
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
            size += len(chunk)
        file.flush()
        os.fsync(file.fileno())
    # A connection that is closed early looks like the end of the file to read().
    if total is not None and size < total:
        raise _Interrupted(f"broken off after {size / 1e6:.1f} of {total / 1e6:.1f} MB")


def _accept(url: str, part: Path, path: Path, sha256: str) -> None:
    if not part.is_file():
        raise UsageError(f"{url}: the server sent nothing; try again")
    found = digest(part)
    if not found.startswith(sha256):
        part.unlink()
        raise UsageError(
            f"{url}: the fetched file has SHA-256 {found[:12]}…, not {sha256}…, and was deleted; "
            "try again, or fetch it by other means and name its folder by --data-dir"
        )
    os.replace(part, path)
    sync(path.parent)


def digest(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _no_line_breaks(error: object) -> str:
    return " ".join(str(error).split()) or type(error).__name__
