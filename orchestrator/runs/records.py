"""Records: one durable result per model, written once.

A record is two files, `records/<key>.safetensors` (weights, element vectors, predictions, learning
curve) and then `records/<key>.json` (the row of the ledger, with the digest of the other file and,
last, its own). The JSON completes a model; without it the model does not exist and is trained
again. A damaged record is set aside first, and its model trained again too.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from safetensors import SafetensorError
from safetensors.numpy import load as decode_arrays

from orchestrator.interface.errors import UsageError
from orchestrator.runs import durable, lease
from orchestrator.runs.layout import LOCK
from orchestrator.runs.record_contents import (
    DIVERGED,
    DONE,
    FAILED,
    LARGEST_ROW,
    SCHEMA,
    Columns,
    columns_of,
    completed,
    wrong_in_arrays,
    wrong_in_row,
)
from trainables.training import record_file

__all__ = ["DIVERGED", "DONE", "FAILED", "SCHEMA", "LedgerError", "Records", "until_sound"]

T = TypeVar("T")
Arrays = dict[str, np.ndarray]
FEW = 100  # keys that are looked up one by one; for more, the folder is listed
PATIENCE = 20.0  # seconds that a record waits for another writer of the same model
AGAIN = "run the command that trained it again: it trains this model anew"


class LedgerError(UsageError):
    """A record that cannot be trusted, in one line that names the file and the fix."""

    def __init__(self, path: Path | str, what: str) -> None:
        super().__init__(f"{path}: {what}; {AGAIN}")
        self.key = Path(path).stem


def _unknown(key: str) -> None:
    """Expects no columns for any key."""


@dataclass(frozen=True)
class Records:
    """The records of a run directory, whose rows have the columns of a schema.

    Attributes:
        lease: token of the driver's lease; once another driver has the run, nothing is recorded. ""
            for records that are not checked.
        asked: returns the expected columns of a key's model, or None if they are unknown; a row
            with others is not this model's.
    """

    folder: Path
    schema: pa.Schema = SCHEMA
    lease: str = ""
    asked: Callable[[str], Mapping[str, Any] | None] = _unknown

    def for_workers(self) -> Records:
        """Those that a worker gets: without `asked`, which holds the driver's whole study."""
        return Records(self.folder.resolve(), self.schema, self.lease)

    @cached_property
    def _columns(self) -> Columns:
        return columns_of(self.schema)

    def write(self, row: dict[str, Any], arrays: dict[str, np.ndarray]) -> bool:
        """Records a model, unless it is recorded already: the first result stands.

        Returns:
            False if there was a record already.
        """
        return self.write_all([(row, arrays)])[0]

    def write_all(
        self, models: Sequence[tuple[dict[str, Any], dict[str, np.ndarray]]]
    ) -> list[bool]:
        """Records several models, and waits for the disk once for all of them.

        Raises:
            OSError: some could not be written, of which this is the first; the others are recorded.
        """
        if not models:
            return []
        contents = {
            row["key"]: record_file.encode(row, arrays, self.schema.names) for row, arrays in models
        }
        written, refused = dict.fromkeys(contents, False), []
        with self._one_writer(contents):
            drafts = {}
            for key, content in contents.items():
                try:
                    drafts[key] = self._draft(key, *content)
                except OSError as error:
                    refused.append(error)
            submit = _threads(os.getpid()).submit
            syncing = {key: [submit(file.sync) for file in files] for key, files in drafts.items()}
            for key, files in drafts.items():
                try:
                    written[key] = self._publish(key, files, syncing[key])
                except OSError as error:
                    refused.append(error)
            durable.sync(self.folder)
        if refused:
            raise refused[0]
        return list(written.values())

    def _draft(self, key: str, row: bytes, arrays: bytes) -> list[durable.Draft]:
        """The files of a record, the row last; none if there is one already."""
        if self._json(key).exists():
            return []
        drafts = [durable.Draft.of(self._arrays(key), arrays)] if arrays else []
        with _dropped_on_failure(drafts):
            return [*drafts, durable.Draft.of(self._json(key), row)]

    def _publish(
        self, key: str, drafts: Sequence[durable.Draft], syncing: Iterable[Future[None]]
    ) -> bool:
        """Renames the drafts to a record: the arrays, then the row. False if there is one."""
        if not drafts:
            return False
        with _dropped_on_failure(drafts):
            for each in syncing:
                each.result()
            if self.lease:
                lease.demand(self.folder.parent, self.lease)
            if self._json(key).exists():  # by a process that did not wait: `_one_writer`
                for draft in drafts:
                    draft.drop()
                return False
            for draft in drafts[:-1]:
                draft.replace()
            return drafts[-1].create()

    @contextmanager
    def _one_writer(self, keys: Iterable[str]) -> Iterator[None]:
        """Lets only one process at a time write the record of a key.

        A worker that its driver has lost, but that is still alive, may finish the model that
        another one trains in its place; its arrays must not be combined with the other's digest. A
        process that is suspended here is waited for at most `PATIENCE`, and finds a record when it
        resumes. If there are no locks, or it resumes between the check and the rename, the digest
        detects the mismatch, and the model is trained again.
        """
        # Not its parents: if the run directory is missing, this node does not share the run's disk.
        self.folder.mkdir(exist_ok=True)
        with open(self.folder / LOCK, "ab") as file:
            until = time.monotonic() + PATIENCE
            # One byte of the (empty) file represents a key, or each worker would wait for the disk
            # of all others; taken in order, or two workers could deadlock.
            for byte in sorted({zlib.crc32(key.encode()) for key in keys}):
                lease.lock_byte(file.fileno(), byte, until)
            yield

    def _json(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _arrays(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def recorded(self, keys: Iterable[str]) -> set[str]:
        """Which of the keys have a record, whatever its status."""
        asked = set(keys)
        if len(asked) <= FEW:
            return {key for key in asked if self._json(key).exists()}
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return set()
        return asked & {name.removesuffix(".json") for name in names if name.endswith(".json")}

    def read(self, key: str) -> dict[str, Any]:
        """The row of a recorded model.

        Raises:
            LedgerError: the record is not whole.
        """
        path = f"{self.folder}/{key}.json"  # making a Path takes as long as reading
        try:
            with open(path, "rb", buffering=0) as file:
                row = record_file.opened(file.read(LARGEST_ROW) or b"")
        except FileNotFoundError:
            raise LedgerError(path, "missing") from None
        if not row:
            raise LedgerError(path, "damaged")
        row = completed(row, self._columns)
        if why := wrong_in_row(row, key, self._columns, self.asked(key)):
            raise LedgerError(path, f"damaged ({why})")
        return row

    def arrays(self, key: str, parts: Mapping[str, np.ndarray] | None = None) -> Arrays:
        """The arrays of a model that is done, verified against its record.

        Args:
            parts: of the model's fold, as of `wrong_in_arrays`.

        Raises:
            LedgerError: the record is not whole, or its arrays are no such model's.
        """
        row = self.read(key)
        if row["status"] == DONE and "arrays_sha256" not in row:
            raise LedgerError(self._json(key), "damaged (done, without arrays)")
        return self._sound_arrays(row, parts)

    def _sound_arrays(
        self, row: Mapping[str, Any], parts: Mapping[str, np.ndarray] | None = None
    ) -> Arrays:
        path = self._arrays(row["key"])
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise LedgerError(path, "missing") from None
        if hashlib.sha256(content).hexdigest() != row.get("arrays_sha256"):
            raise LedgerError(path, "damaged")
        try:
            arrays = decode_arrays(content)
        except (SafetensorError, ValueError, TypeError, KeyError) as error:
            raise LedgerError(path, f"damaged ({' '.join(str(error).split())[:80]})") from None
        why = wrong_in_arrays(arrays, row, parts) if row["status"] == DONE else ""
        if why:
            raise LedgerError(path, f"damaged ({why})")
        return arrays

    def damage(self, keys: Iterable[str]) -> dict[str, LedgerError]:
        """The errors of recorded models whose files are damaged, by key."""

        def validate(key: str) -> tuple[str, LedgerError] | None:
            try:
                row = self.read(key)
                if "arrays_sha256" in row:
                    self._sound_arrays(row)
            except LedgerError as error:
                return key, error
            return None

        with ThreadPoolExecutor() as pool:
            return dict(filter(None, pool.map(validate, sorted(self.recorded(keys)))))

    def set_aside(self, key: str) -> None:
        """Renames the files of a record to `….damaged`, so that the model is trained again."""
        with self._one_writer([key]):
            for path in (self._json(key), self._arrays(key)):
                with suppress(FileNotFoundError):
                    path.replace(path.with_name(f"{path.name}.damaged"))

    def forget(self, key: str) -> None:
        """Deletes a record, so that the model is trained again."""
        with self._one_writer([key]):
            self._json(key).unlink(missing_ok=True)
            self._arrays(key).unlink(missing_ok=True)

    def forget_failed(self, keys: Iterable[str]) -> None:
        """Deletes the records of failed models.

        Raises:
            LedgerError: a record is damaged.
        """
        for key in self.recorded(keys):
            if self.read(key)["status"] == FAILED:
                self.forget(key)


def until_sound(records: Records, keys: Collection[str], work: Callable[[], T]) -> T:
    """Runs `work`; if it meets a damaged record, sets that aside and runs it again.

    All records are verified then; damaged ones are set aside and reported on stderr.

    Raises:
        LedgerError: of other records than those of these keys, or of a model that was trained again
            already.
    """
    again: set[str] = set()
    while True:
        try:
            return work()
        except LedgerError as error:
            damaged = records.damage(keys)
            # The user of a record can check more, such as which crystals its fold has.
            if error.key in records.recorded(keys):
                damaged.setdefault(error.key, error)
            if not damaged or again & damaged.keys():
                raise
        again |= damaged.keys()
        for key, what in damaged.items():
            records.set_aside(key)
            told = str(what).removesuffix(AGAIN)
            print(f"{told}it is set aside (….damaged), the model is trained again", file=sys.stderr)


@lru_cache(maxsize=1)
def _threads(process: int) -> ThreadPoolExecutor:
    """Threads of a process, reused, as starting them takes as long as a sync; a fork has others."""
    return ThreadPoolExecutor()


@contextmanager
def _dropped_on_failure(drafts: Sequence[durable.Draft]) -> Iterator[None]:
    try:
        yield
    except OSError:
        for draft in drafts:
            draft.drop()
        raise
