"""The two files of a record as bytes: a row with its checksum, and arrays."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from safetensors.numpy import save as encode_arrays


def encode(
    row: dict[str, Any], arrays: dict[str, np.ndarray], columns: Sequence[str]
) -> tuple[bytes, bytes]:
    """Encodes the two files of a record: the row, and the arrays if there are any."""
    row = {name: row.get(name) for name in columns}
    content = b""
    if arrays:
        contiguous = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
        content = encode_arrays(contiguous, {"row": json.dumps(row)})
        row["arrays_sha256"] = hashlib.sha256(content).hexdigest()
    # One line per entry; json's own indent would take five times as long (it is pure Python).
    text = json.dumps(row, separators=(",\n ", ": "), allow_nan=False).encode().removesuffix(b"}")
    return text + seal(text), content


def seal(text: bytes) -> bytes:
    """The end of a row's JSON: the CRC-32 of all bytes before it."""
    return f',\n "crc32": "{zlib.crc32(text):08x}"\n}}\n'.encode()


SEAL = len(seal(b""))


def opened(content: bytes) -> dict[str, Any]:
    """Decodes the row of a JSON file; {} if the file is not as it was written."""
    text = content[:-SEAL]
    if content[-SEAL:] != seal(text):
        return {}
    try:
        row = json.loads(content)
    except (ValueError, RecursionError):  # despite a correct checksum
        return {}
    return row if isinstance(row, dict) else {}
