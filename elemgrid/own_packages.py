"""Says so where another folder or module hides one of the packages that elemgrid consists of."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("analysis", "orchestrator", "trainables")


def demand_own_packages() -> None:
    """Raises ImportError if a name of `PACKAGES` is not the one installed with elemgrid.

    They are names that a user's own folder may have, and Python takes the first one it finds.
    """
    home = Path(__file__).resolve().parent.parent
    for name in PACKAGES:
        found = _place(name)
        if found is None or Path(found).resolve() != home / name / "__init__.py":
            raise ImportError(
                f"elemgrid needs its own package '{name}', and Python finds"
                f" {found or 'none that is a package'}; rename that, or start elsewhere",
                name=name,
            )


def _place(name: str) -> str | None:
    loaded = sys.modules.get(name)
    if loaded is not None:
        return getattr(loaded, "__file__", None)
    spec = find_spec(name)
    return spec.origin if spec else None
