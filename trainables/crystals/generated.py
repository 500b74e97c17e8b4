"""What sources have in common whose crystals are made rather than read."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from trainables.crystals.crystal import Entry


class Generated(ABC):
    """Crystals that are the same on every call; a subclass makes them, once."""

    target_name: str

    @property
    def ingredients(self) -> str:
        """Digest of the files that they are made from; "" if there are none."""
        return ""

    @property
    @abstractmethod
    def made(self) -> Sequence[Entry]:
        """All of them, shuffled once and for all so that any part is well mixed."""

    def digest(self) -> str:
        """SHA-256 (hex) over all structures, targets, the target's name and the ingredients."""
        digest = hashlib.sha256((self.target_name + self.ingredients).encode())
        for entry in self.made:
            digest.update(f"\0{entry.id}\0{entry.text}\0{entry.target}".encode())
        return digest.hexdigest()

    def count(self) -> int:
        """Number of crystals."""
        return len(self.made)

    def entries(self) -> Iterator[Entry]:
        """All crystals, in their order."""
        return iter(self.made)
