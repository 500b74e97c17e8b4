"""Random faults in sequence on run directories, whose results have to equal an undisturbed run's.

python -m tests.faults.soak --seed 0 --faults 200
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

import tests.environment  # noqa: F401 (before Ray, which reads it when it is imported)
from orchestrator.interface.job import OK, USAGE
from tests.faults.checker import check, keys, trainers_alive, with_its_cause
from tests.faults.site import Driver, Ended, Site

GOLDEN = "golden"
MODELS = 60


def flags(site: Site, run: str) -> list[str]:
    """60 models in 15 arrays of about a second, which are saved when a model leaves them."""
    return [
        *("--tasks", str(site.folder / "tiny.json.gz"), "--run", str(site.runs / run)),
        *("--dims", "4", "8", "12", "--mixing", "H", "0", "2", "L", "--backbones", "cgcnn"),
        *("--epochs", "60", "--patience", "8"),
    ]


# ------------------------------------------------------------------------------------- faults


def kill_driver(site: Site, driver: Driver, run: Path, dice: random.Random) -> bool:
    """SIGKILL, at a random moment."""
    driver.process.kill()
    return True


def interrupt(site: Site, driver: Driver, run: Path, dice: random.Random) -> bool:
    """Ctrl-C, once or twice."""
    driver.signal(signal.SIGINT)
    if dice.random() < 0.5:
        time.sleep(dice.random())
        with contextlib.suppress(ProcessLookupError):
            driver.signal(signal.SIGINT)
    return True


def terminate(site: Site, driver: Driver, run: Path, dice: random.Random) -> bool:
    """SIGTERM to the driver."""
    driver.process.send_signal(signal.SIGTERM)
    return True


def kill_worker(site: Site, driver: Driver, run: Path, dice: random.Random) -> bool:
    """SIGKILL of one of Ray's worker processes, whatever it is doing."""
    found = trainers_alive() or [
        process
        for process in psutil.Process().children(recursive=True)
        if _name(process).startswith("ray::")
        # A node without its agents is lost, and this cluster has no other one.
        and not _name(process).strip().endswith(("Agent", "IDLE"))
    ]
    if not found:
        return False
    with contextlib.suppress(psutil.Error):
        dice.choice(found).kill()
    return True


def damage_record(site: Site, driver: Driver, run: Path, dice: random.Random) -> bool:
    """Kills the driver; flips a byte or truncates a file of a record."""
    driver.process.kill()
    driver.process.wait()
    files = sorted((run / "records").glob("*.*"))
    if not files:
        return True
    _damage(dice.choice(files), dice)
    return True


def damage_tune(site: Site, driver: Driver, run: Path, dice: random.Random) -> bool:
    """Kills the driver and empties Tune's files."""
    driver.process.kill()
    driver.process.wait()
    for path in (run / ".tune").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    return True


def damage_shard(site: Site, driver: Driver, run: Path, dice: random.Random) -> bool:
    """Kills the driver and truncates a shard."""
    driver.process.kill()
    driver.process.wait()
    for path in (run / "shards").rglob("*.parquet"):
        path.write_bytes(path.read_bytes()[: dice.randrange(1, 2000)])
    return True


def damage_snapshots(site: Site, driver: Driver, run: Path, dice: random.Random) -> bool:
    """Kills the driver; truncates the snapshots of running arrays, or flips a bit in them."""
    driver.process.kill()
    driver.process.wait()
    for path in (run / "checkpoints").glob("*.snapshot"):
        with contextlib.suppress(FileNotFoundError):  # a worker may finish meanwhile
            _damage(path, dice)
    return True


def fill_disk(site: Site, driver: Driver, run: Path, dice: random.Random) -> bool:
    """Refuses the next write or rename of one kind, as a full disk would."""
    event = dice.choice(("open", "os.rename", "os.link"))
    where = "records" if event == "os.link" else dice.choice(("records", "shards", "checkpoints"))
    site.arm(event, f"{run}/{where}/*", how="refuse")
    return True


def kill_node(site: Site, driver: Driver, run: Path, dice: random.Random) -> bool:
    """Removes the second node without warning and adds another one."""
    site.replace_node()
    return True


def _damage(path: Path, dice: random.Random) -> None:
    """Flips a bit, or truncates."""
    content = bytearray(path.read_bytes())
    if content and dice.random() < 0.5:
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    else:
        del content[dice.randrange(len(content) + 1) :]
    path.write_bytes(content)


def _name(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


Fault = Callable[[Site, Driver, Path, random.Random], bool]
FAULTS: tuple[Fault, ...] = (
    kill_driver,
    interrupt,
    terminate,
    kill_worker,
    kill_worker,
    kill_worker,
    damage_record,
    damage_tune,
    damage_shard,
    damage_snapshots,
    fill_disk,
    kill_node,
)


# --------------------------------------------------------------------------------------- soak


def wait_for_a_moment(driver: Driver, run: Path, dice: random.Random, span: float) -> None:
    """Waits for a random second of a run, or number of recorded models; or the driver's end.

    By the clock alone most faults would meet a driver that is starting, as that takes longest.
    """
    if dice.random() < 0.5:
        with contextlib.suppress(subprocess.TimeoutExpired):
            driver.process.wait(dice.uniform(0, span))
        return
    enough = dice.randint(min(len(keys(run)) + 1, MODELS), MODELS)
    while driver.process.poll() is None and len(keys(run)) < enough:
        time.sleep(0.02)


def disturbed(site: Site, run: str, dice: random.Random, at_most: int) -> int:
    """Runs a grid to its end through some faults; returns their number."""
    since, happened = time.time(), 0
    ended: list[Ended] = []
    span = 20.0
    while True:
        driver = site.start(flags(site, run))
        begun = time.monotonic()
        fault: Fault | None = None
        if happened < at_most:
            wait_for_a_moment(driver, site.runs / run, dice, span)
            if driver.process.poll() is None:
                fault = dice.choice(FAULTS)
                if fault(site, driver, site.runs / run, dice):
                    happened += 1
                    done = len(keys(site.runs / run))
                    print(f"  {run}: {fault.__name__}, {done} of {MODELS} recorded", flush=True)
        ended.append(driver.end(600))
        happened -= site.disarm()  # of a disk that is no longer written to
        with_its_cause(ended[-1])
        # A grid fails only by a disk, or a node that is lost repeatedly.
        assert ended[-1].code != USAGE or fault in (fill_disk, kill_node), ended[-1].err
        if ended[-1].code == OK:
            span = max(5.0, time.monotonic() - begun)
            break
    check(site, run, GOLDEN, since, *ended, damaged=True)
    return happened


def main(argv: Sequence[str] | None = None) -> int:
    """0 if every run equals the undisturbed one; a broken guarantee is an AssertionError."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=int, default=200)
    options = parser.parse_args(argv)
    dice = random.Random(options.seed)
    folder = Path(tempfile.mkdtemp(prefix="elemgrid-soak-"))
    print(f"seed {options.seed}, {options.faults} faults; a run that breaks stays in {folder}")
    site = Site.make(folder)
    happened = number = 0
    with site.cluster(num_cpus=1):
        site.replace_node()
        assert site.drive(flags(site, GOLDEN)).code == 0
        while happened < options.faults:
            number += 1
            run = f"run{number}"
            happened += disturbed(site, run, dice, min(8, options.faults - happened))
            print(f"{run}: as undisturbed; {happened} faults so far", flush=True)
            shutil.rmtree(site.runs / run)
    site.clean()
    shutil.rmtree(folder)
    print(f"{happened} faults on {number} runs: nothing lost, nothing done twice")
    return 0


if __name__ == "__main__":
    sys.exit(main())
