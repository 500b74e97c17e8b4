"""What reader and child say to each other: JSON, with its length before it."""

from __future__ import annotations

import json
from typing import Any

HEADER = 8  # bytes of the length
OUT_OF_MEMORY = 77  # exit status of a child that a text took beyond its memory


def packed(content: Any) -> bytes:
    """A message as bytes."""
    body = json.dumps(content).encode()
    return len(body).to_bytes(HEADER, "big") + body


def length(header: bytes) -> int:
    """Bytes that come after a header."""
    return int.from_bytes(header, "big")
