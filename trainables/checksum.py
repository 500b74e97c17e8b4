"""JSON objects that contain a checksum of their content, so that changed bits are detected."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

DIGEST = "digest"  # key of the checksum


def add(content: Mapping[str, Any]) -> dict[str, Any]:
    """Adds the SHA-256 (hex) of the object's canonical JSON text."""
    own = {name: value for name, value in content.items() if name != DIGEST}
    # Normalised as if read back: JSON has neither tuples nor numeric keys.
    read = json.loads(json.dumps(own))
    return own | {DIGEST: hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()}


def matches(content: Mapping[str, Any]) -> bool:
    """Whether an object's content matches its checksum; False if it has none."""
    return DIGEST in content and content[DIGEST] == add(content)[DIGEST]
