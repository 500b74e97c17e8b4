"""The representation of a sample for a network: its name, its version and its settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Representation:
    """A representation; subclasses add the settings that determine it as fields.

    Attributes:
        name: in folder names and manifests.
        version: raised whenever the same sample gets another representation.
    """

    name: str
    version: int
