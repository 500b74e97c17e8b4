"""What a network sees of a sample: the name of the representation, its version and its settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Representation:
    """A representation; subclasses add the settings that decide it as fields.

    Attributes:
        name: as it stands in folder names and manifests.
        version: raised whenever the same sample gets another representation.
    """

    name: str
    version: int
