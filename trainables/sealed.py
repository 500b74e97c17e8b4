"""JSON objects that carry the digest of what they say, so that no bit of it changes unnoticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

DIGEST = "digest"  # the entry that holds it


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same object, and with it the SHA-256 (hex) of its canonical JSON text."""
    own = {name: value for name, value in content.items() if name != DIGEST}
    # As it is read back: JSON has neither tuples nor numbers as keys.
    read = json.loads(json.dumps(own))
    return own | {DIGEST: hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()}


def is_sound(content: Mapping[str, Any]) -> bool:
    """Whether a sealed object says what it said when it was sealed; False where it has no seal."""
    return DIGEST in content and content[DIGEST] == seal(content)[DIGEST]
