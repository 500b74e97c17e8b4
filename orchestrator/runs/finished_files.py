"""Files that a job has left in a run directory; a JSON of facts, written last, makes them exist."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar


@dataclass(frozen=True)
class FinishedFiles:
    """The files of one job, read when they are needed."""

    folder: Path
    facts_file: ClassVar[str]

    @property
    def exists(self) -> bool:
        return (self.folder / self.facts_file).is_file()

    @cached_property
    def facts(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / self.facts_file).read_text()))
