"""Runs trials on Ray Train: several workers train one array together, array after array.

Each worker computes its share of every batch, and gradients are added up by torch: gloo on CPUs,
NCCL on GPUs. The worker of rank 0 records and saves. Ray Train starts the workers and replaces all
of them when one is lost; they go on from the last snapshot (`runs/checkpoints`),
as trials on Tune and in processes do, so that an interrupted run has one kind of state on disk.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import ray
from ray import train
from ray.exceptions import RayError
from ray.train.backend import Backend
from ray.train.collective import broadcast_from_rank_zero
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.exceptions import TrainingFailedError

from orchestrator.nodes.cluster import inherited
from orchestrator.nodes.ray_internals import show_work
from orchestrator.nodes.train_internals import TellsController, abort
from orchestrator.nodes.worker import Worker
from orchestrator.runs.layout import TRAIN
from orchestrator.runs.ownership import remove_notes
from orchestrator.runs.records import Records
from orchestrator.training.events import ArrayBegan, ArrayLost, Observers, Waited
from orchestrator.training.on_cluster import Cluster, held
from orchestrator.training.runners import (
    DIED,
    EXPERIMENT,
    LOST_WORKERS,
    SAVING,
    Ending,
    Reports,
    say_stopping,
)
from orchestrator.training.study import MakeFit, Study, TrainingArray
from orchestrator.training.trials import Trial, prepare

if TYPE_CHECKING:
    from trainables.models.gathering import Group

SECONDS = 0.2  # between two looks at what the workers have told
# Of Ray Train, whose defaults are 60 and 2 seconds: on a busy machine workers take longer to import
# torch, and would be started again and again.
PATIENCE = {
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "900",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
}


class TrainRunner:
    """Runs the trials of a study on Ray Train: `runners.Runner`."""

    def __init__(self, study: Study, records: Records, worker: Worker) -> None:
        self._study, self._worker = study, worker
        self._records, self._held = records.for_workers(), held(study)

    def run(self, arrays: Sequence[TrainingArray], observers: Observers) -> Ending:
        """Trains arrays until all are finished, or the user or a disk error stops them.

        An array whose workers died too many times is left, and the others go on.
        """
        lost: dict[str, str] = {}
        left = list(arrays)
        while left:
            told = _Told(observers)
            failure = self._train(left, told)
            if told.disk or failure is None:
                return Ending(lost, told.disk)
            ended = {name for name in told.began if name != told.array}
            lost[told.array or left[0].id] = failure
            left = [array for array in left if array.id not in ended | lost.keys()]
        return Ending(lost, "")

    def _train(self, arrays: Sequence[TrainingArray], told: _Told) -> str | None:
        """Runs Ray Train's controller; returns why it failed, or None, also after a stop."""
        own = {name: value for name, value in PATIENCE.items() if name not in os.environ}
        with inherited(own):
            return self._fitted(arrays, told)

    def _fitted(self, arrays: Sequence[TrainingArray], told: _Told) -> str | None:
        run = self._records.folder.parent
        mailbox = _Mailbox.options(num_cpus=0).remote()  # type: ignore[attr-defined]
        fitting = _Fitting(self._trainer(arrays, mailbox).fit)
        fitting.start()
        try:
            while fitting.is_alive():
                fitting.join(SECONDS)
                told.read(ray.get(mailbox.take.remote()))
            told.read(ray.get(mailbox.take.remote()))
        except KeyboardInterrupt:
            say_stopping()
            _save(mailbox)
            _abort(mailbox, fitting)
            return None
        finally:
            remove_notes(run, EXPERIMENT)
        return fitting.failure

    def _trainer(self, arrays: Sequence[TrainingArray], mailbox: Any) -> TorchTrainer:
        worker = self._worker
        work = _Work(
            arrays=tuple(arrays),
            datasets=dict(self._held),
            records=self._records,
            device=worker.device,
            threads=worker.threads,
            make_fit=self._study.make_fit,
            mailbox=mailbox,
        )
        return TorchTrainer(
            work.run,
            torch_config=Unconnected(),
            scaling_config=train.ScalingConfig(
                num_workers=self._study.together,
                use_gpu=worker.gpus > 0,
                resources_per_worker={"CPU": worker.cpus}
                | ({"GPU": worker.gpus} if worker.gpus else {}),
            ),
            run_config=train.RunConfig(
                name=EXPERIMENT,
                storage_path=str(self._records.folder.parent / TRAIN),
                failure_config=train.FailureConfig(max_failures=LOST_WORKERS),
                callbacks=[TellsController(mailbox.name_controller)],  # type: ignore[list-item]
            ),
        )


def _save(mailbox: Any) -> None:
    """Has the first worker save the array in training, as far as `SAVING` seconds suffice."""
    until = time.monotonic() + SAVING
    with suppress(RayError):  # the cluster may have ended by the same signal
        mailbox.stop.remote()
        while not ray.get(mailbox.is_saved.remote(), timeout=SAVING) and time.monotonic() < until:
            time.sleep(SECONDS)


def _abort(mailbox: Any, fitting: _Fitting) -> None:
    """Ends the training, once its controller is known."""
    with suppress(RayError):  # the controller has gone, and with it `fitting`
        while fitting.is_alive():
            for controller in ray.get(mailbox.controller.remote()):
                abort(controller)
            fitting.join(SECONDS)
    fitting.join()


class Unconnected(TorchConfig):
    """Leaves it to the workers to connect: Ray Train's way listens on every interface."""

    @property
    def backend_cls(self) -> type[Backend]:
        """One that does nothing."""
        return Backend


class _Fitting(threading.Thread):
    """A thread in which `fit` blocks, so that the driver hears signals and workers meanwhile."""

    def __init__(self, fit: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._fit = fit
        self.failure: str | None = None

    def run(self) -> None:
        """Calls it, and notes why it failed."""
        try:
            self._fit()
        except (TrainingFailedError, RayError) as error:
            self.failure = str(error)


@ray.remote
class _Mailbox:
    """What the first worker tells, until the driver takes it, and whether it is to stop."""

    def __init__(self) -> None:
        self._messages: list[tuple[str, Any]] = []
        self._controller: list[Any] = []
        self._stops = self._saved = False

    def put(self, array: str, report: dict[str, Any] | None) -> bool:
        """Adds a report of an array; None says that it begins. True asks for a snapshot of it."""
        self._messages.append((array, report))
        return self._stops and not self._saved

    def name_controller(self, controller: Any) -> None:
        """Takes a handle to the actor that controls the training."""
        self._controller = [controller]

    def controller(self) -> list[Any]:
        """The handle, if the training has begun."""
        return self._controller

    def stop(self) -> None:
        """Asks for a snapshot when the present step is over."""
        self._stops = True

    def note_saved(self) -> None:
        """The snapshot is there."""
        self._saved = True

    def is_saved(self) -> bool:
        """Whether it is."""
        return self._saved

    def take(self) -> list[tuple[str, Any]]:
        """All messages since the last call, in order."""
        taken, self._messages = self._messages, []
        return taken


class _Told:
    """Turns what the first worker tells into events.

    Attributes:
        began: arrays that began.
        array: the one in training, or "".
        disk: why a file could not be written or read, or "".
    """

    def __init__(self, observers: Observers) -> None:
        self._observers, self._reports = observers, Reports(observers)
        self.began: set[str] = set()
        self.array = self.disk = ""

    def read(self, messages: Sequence[tuple[str, Any]]) -> None:
        """Passes messages on."""
        for array, report in messages:
            if report is None:
                if array == self.array:  # told again by workers that replace lost ones
                    self._observers.see(ArrayLost(array, DIED))
                self.began.add(array)
                self.array = array
                self._observers.see(ArrayBegan(array))
                continue
            self.disk = self.disk or report["disk"]
            if report["done"]:
                self.array = ""
            self._reports.see(array, report)
        self._observers.see(Waited())


class _Shared(Cluster):
    """The cluster of workers that share each batch."""

    def is_lost(self, error: Exception) -> bool:
        """Every error ends all workers, as those that go on would wait for this one forever."""
        return True


@dataclass(frozen=True)
class _Work:
    """The work of each worker.

    Attributes:
        datasets: array's `data` -> reference to the data set.
        others: as of `trials.Trial`.
    """

    arrays: Sequence[TrainingArray]
    datasets: Mapping[Hashable, ray.ObjectRef]
    records: Records
    device: str
    threads: int
    make_fit: MakeFit
    mailbox: Any

    def run(self) -> None:
        """Trains the arrays, in an order that all workers share.

        Raises:
            OSError: the disk, which has been reported.
        """
        prepare(self.threads)
        group = self._group()
        make_fit = partial(self.make_fit, group=group)
        leads, cluster = group.rank == 0, _Shared(self.datasets)
        for array in self.arrays:
            show_work(array.id)
            trial = Trial(array, cluster, self.records, self.device, make_fit, leads=leads)
            if leads:
                ray.get(self.mailbox.put.remote(array.id, None))
            done = False
            while not done:
                report = trial.step()
                done = report["done"]
                if leads and ray.get(self.mailbox.put.remote(array.id, report)):
                    trial.save()
                    ray.get(self.mailbox.note_saved.remote())
                if report["disk"]:  # the others wait for this worker, until it is gone
                    raise OSError(report["disk"])
            train.report({"array": array.id})  # all workers wait here for each other

    def _group(self) -> Group:
        """The workers of this attempt."""
        # here: the driver needs no torch
        from trainables.models.gathering import ALONE
        from trainables.training.group import Joined

        own = train.get_context()
        rank, size = own.get_world_rank(), own.get_world_size()
        if size == 1:
            return ALONE
        name = broadcast_from_rank_zero(uuid4().hex if rank == 0 else "")
        folder = self.records.folder.parent / TRAIN / EXPERIMENT
        folder.mkdir(parents=True, exist_ok=True)
        one_machine = own.get_local_world_size() == size
        return Joined(rank, size, folder / name, self.device, one_machine=one_machine)
