"""Messages between reader and child: JSON, preceded by its length."""

from __future__ import annotations

import json
from typing import Any

HEADER = 8  # bytes of the length
OUT_OF_MEMORY = 77  # exit status of a child that exceeded its memory


def packed(content: Any) -> bytes:
    """Encodes a message as bytes."""
    body = json.dumps(content).encode()
    return len(body).to_bytes(HEADER, "big") + body


def length(header: bytes) -> int:
    """Number of bytes that follow a header."""
    return int.from_bytes(header, "big")
