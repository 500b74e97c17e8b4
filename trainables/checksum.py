"""JSON objects that carry a checksum of their content, so that no bit of it changes unnoticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

DIGEST = "digest"  # the entry that holds it


def add(content: Mapping[str, Any]) -> dict[str, Any]:
    """The object with the SHA-256 (hex) of its canonical JSON text."""
    own = {name: value for name, value in content.items() if name != DIGEST}
    # As it is read back: JSON has neither tuples nor numbers as keys.
    read = json.loads(json.dumps(own))
    return own | {DIGEST: hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()}


def matches(content: Mapping[str, Any]) -> bool:
    """Whether an object's content matches its checksum; False where it has none."""
    return DIGEST in content and content[DIGEST] == add(content)[DIGEST]
