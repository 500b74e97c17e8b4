"""Machines made of namespaces: each with its own processes, network, home and temporary folder.

They live in one world, which is a namespace too: when its first process ends, for whatever reason,
the kernel ends everything in it, and its network and mounts disappear. Nothing inside sees, and so
nothing inside can end, a process of the host.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

USER, UID = "crystals", 7077
HOME = Path("/home") / USER
SHARED = Path("/shared")  # shared by all machines, as NFS would be
LIBRARIES = Path("/srv/site-packages")  # of the environment that runs this, read-only
TOOLS = ("ip", "unshare", "nsenter", "setpriv", "mount", "chroot", "rsync", "ssh-keygen", "sshd")
SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr")
SETTINGS = ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ssl", "profile")
KEPT_OUT = ("elemgrid", "__editable__", "__pycache__")  # installed as documented instead


def lacking() -> str:
    """Why machines cannot be made here, or ""."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root on Linux, for namespaces"
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [tool for tool in TOOLS if shutil.which(tool, path=path) is None]
    if missing:
        return (
            f"needs {', '.join(missing)} (Debian, Ubuntu: apt install openssh-server iproute2"
            " rsync util-linux)"
        )
    tried = subprocess.run(
        ["unshare", *WORLD, "ip", "link", "add", "bridge0", "type", "bridge"],
        capture_output=True,
        text=True,
    )
    if tried.returncode:
        return f"cannot make namespaces and a bridge ({' '.join(tried.stderr.split())})"
    return ""


# `--kill-child`: nothing survives the process that waits for it.
WORLD = ("--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc")


def in_a_world(command: Sequence[str], seconds: float, environment: dict[str, str]) -> int:
    """Runs a command as the first process of a world, which ends with it or after a time limit."""
    # `pdeathsig`: the world also ends if this process is killed.
    outside = ["setpriv", "--pdeathsig", "KILL", "unshare", *WORLD, *command]
    with subprocess.Popen(outside, env=environment) as world:
        try:
            return world.wait(seconds)
        except subprocess.TimeoutExpired:
            print(f"not at its end after {seconds:g} s: ended", file=sys.stderr, flush=True)
            return 124
        finally:
            world.kill()


@dataclass
class Machine:
    """A running machine.

    Attributes:
        init: pid of its first process, as the world sees it; the machine ends with it.
    """

    name: str
    address: str
    root: Path
    process: subprocess.Popen[bytes]
    init: int
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def command(self, line: str, user: str = USER) -> list[str]:
        """The command that runs a line of shell in the machine, as a user who logs in would."""
        who = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        home = HOME if user == USER else Path("/root")
        clean = ["env", "-i", f"HOME={home}", f"USER={user}", "LANG=C.UTF-8", "SHELL=/bin/bash"]
        inside = ["nsenter", f"--target={self.init}", "--all", "--root", "--wd"]
        cd = f"cd {shlex.quote(str(home))} && {line}"
        return [*inside, *(who if user != "root" else []), *clean, f"PATH={PATH}", "bash", "-c", cd]

    def run(
        self, line: str, seconds: float = 60, user: str = USER
    ) -> subprocess.CompletedProcess[str]:
        """Runs a line to its end."""
        return subprocess.run(
            self.command(line, user),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
        )

    def processes(self) -> Iterator[tuple[int, str]]:
        """Pid, as the world sees it, and command line of all processes in the machine."""
        mine = _namespace(self.init)
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and mine and _namespace(int(folder.name)) == mine:
                try:
                    line = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                except OSError:
                    continue
                yield int(folder.name), line.decode(errors="replace").strip()

    def cut(self) -> None:
        """Simulates a power failure: ends all processes at once, and the network."""
        self.process.kill()
        self.process.wait()


PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


BRIDGE, GATEWAY = "bridge0", "10.77.0.1"


def bridge() -> None:
    """The network switch of the machines. It is their gateway, and leads nowhere else."""
    _do("ip", "link", "set", "lo", "up")
    _do("ip", "link", "add", BRIDGE, "type", "bridge")
    _do("ip", "address", "add", f"{GATEWAY}/24", "dev", BRIDGE)
    _do("ip", "link", "set", BRIDGE, "up")


def boot(name: str, address: str, below: Path, key: Path) -> Machine:
    """A machine with a user who may log in by a key, sshd on port 22, and Python.

    Args:
        address: in the network of the gateway.
        below: the folder for machines; of the world alone.
        key: the public one.
    """
    root = below / name
    _build(root, below / "shared", key)
    # bash as the first process, as it also reaps orphaned processes.
    first = (
        f"mount -t proc proc /proc; hostname {name}; ip link set lo up;"
        " until ip link set eth0 up 2>/dev/null; do sleep 0.05; done;"
        f" ip address add {address}/24 dev eth0; ip route add default via {GATEWAY};"
        " /usr/sbin/sshd -D -e 2>/var/log/sshd & wait"
    )
    apart = ["unshare", *WORLD[:-1], "--propagation=private", "chroot", str(root)]
    process = subprocess.Popen(
        [*apart, "env", "-i", f"PATH={PATH}", "HOME=/root", "bash", "-c", first],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    init = _until(lambda: _child_in_namespace(process.pid), f"{name} does not begin")
    _do("ip", "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", init)
    _do("ip", "link", "set", f"to-{name}", "master", BRIDGE, "up")
    machine = Machine(name, address, root, process, int(init))
    _until(lambda: "sshd: /usr/sbin" in " ".join(_lines(machine)), f"{name} has no sshd")
    return machine


def _lines(machine: Machine) -> list[str]:
    return [line for _, line in machine.processes()]


def _child_in_namespace(parent: int) -> str:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    apart = children and _namespace(int(children[0])) != _namespace(os.getpid())
    return children[0] if apart else ""


def _until(ask: Callable[[], Any], otherwise: str, seconds: float = 20) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := ask():
            return found
        time.sleep(0.05)
    raise RuntimeError(otherwise)


def _build(root: Path, shared: Path, key: Path) -> None:
    """The machine's files: the system and Python read-only, the rest its own, in memory."""
    root.mkdir()
    _do("mount", "-t", "tmpfs", "-o", "mode=755", "machine", root)
    for name in SYSTEM:
        real = Path("/") / name
        if real.is_symlink():
            (root / name).symlink_to(os.readlink(real))
        elif real.is_dir():
            _bind(real, root / name)
    for name in ("proc", "run/sshd", "var/log", "var/empty", "root", "dev/pts", "dev/shm", "etc"):
        (root / name).mkdir(parents=True)
    for name in ("tmp", "var/tmp"):
        (root / name).mkdir()
        (root / name).chmod(0o1777)
    base = Path(sys.base_prefix)
    if not base.is_relative_to("/usr"):
        _bind(base, root / base.relative_to("/"))
    _bind(Path(sysconfig.get_path("purelib")), root / LIBRARIES.relative_to("/"))
    _bind(Path("/sys"), root / "sys")
    (root / SHARED.relative_to("/")).mkdir()
    _do("mount", "--bind", shared, root / SHARED.relative_to("/"))
    _devices(root)
    _settings(root / "etc", key)
    home = root / HOME.relative_to("/")
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    for part in (home, home / ".ssh"):
        os.chown(part, UID, UID)
    _do("sh", "-c", f"cp -rT /etc/skel {home} && chown -R {UID}:{UID} {home}")
    shutil.copy(key, home / ".ssh" / "authorized_keys")
    os.chown(home / ".ssh" / "authorized_keys", UID, UID)


def _devices(root: Path) -> None:
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        (root / "dev" / name).touch()
        _do("mount", "--bind", Path("/dev") / name, root / "dev" / name)
    own = "newinstance,ptmxmode=0666,mode=0620,gid=5"
    _do("mount", "-t", "devpts", "-o", own, "devpts", root / "dev" / "pts")
    (root / "dev" / "ptmx").symlink_to("pts/ptmx")
    (root / "dev" / "fd").symlink_to("/proc/self/fd")
    _do("mount", "-t", "tmpfs", "-o", "mode=1777", "shm", root / "dev" / "shm")


def _settings(etc: Path, key: Path) -> None:
    for name in SETTINGS:
        source = Path("/etc") / name
        if source.is_dir():
            shutil.copytree(source, etc / name, symlinks=True)
        elif source.exists():
            shutil.copy(source, etc / name)
    people = f"root:x:0:0:root:/root:/bin/bash\n{USER}:x:{UID}:{UID}::{HOME}:/bin/bash\n"
    (etc / "passwd").write_text(f"{people}sshd:x:7022:65534::/run/sshd:/usr/sbin/nologin\n")
    (etc / "group").write_text(f"root:x:0:\ntty:x:5:\n{USER}:x:{UID}:\nnogroup:x:65534:\n")
    (etc / "shadow").write_text(f"root:*:1::::::\n{USER}:*:1::::::\nsshd:*:1::::::\n")
    (etc / "hosts").write_text("127.0.0.1 localhost\n")
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
    (etc / "ssh").mkdir()
    _do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", etc / "ssh" / "ssh_host_ed25519_key")
    (etc / "ssh" / "sshd_config").write_text(
        "UsePAM no\nPasswordAuthentication no\nMaxStartups 30\nMaxSessions 30\n"
    )


def environment(machine: Machine, folder: Path) -> None:
    """A Python environment with all that elemgrid depends on, but not with elemgrid.

    It uses the packages of the environment that runs this, which are gigabytes to install.
    """
    bin_folder = Path(sysconfig.get_path("scripts")).resolve()
    scripts = [
        path.name
        for path in bin_folder.iterdir()
        if path.is_file() and path.read_bytes().startswith(f"#!{bin_folder}/python".encode())
    ]
    packages = f"{folder}/lib/python3.{sys.version_info.minor}/site-packages"
    leave = " ".join(f"-not -name '{name}*'" for name in KEPT_OUT)
    lines = [
        f"{sys.base_prefix}/bin/python3 -m venv --without-pip {folder}",
        f"find {LIBRARIES} -mindepth 1 -maxdepth 1 {leave} -exec ln -s -t {packages} {{}} +",
    ]
    made = machine.run(" && ".join(lines))
    if made.returncode:
        raise RuntimeError(f"no environment on {machine.name}: {made.stdout}")
    inside = machine.root / (folder / "bin").relative_to("/")
    for name in scripts:
        if name == "elemgrid":
            continue
        rest = (bin_folder / name).read_text().partition("\n")[2]
        (inside / name).write_text(f"#!{folder}/bin/python\n{rest}")
        (inside / name).chmod(0o755)
        os.chown(inside / name, UID, UID)


def _bind(what: Path, where: Path) -> None:
    where.mkdir(parents=True, exist_ok=True)
    _do("mount", "--bind", what, where)
    _do("mount", "-o", "remount,bind,ro", where)


def _do(*words: str | Path) -> None:
    subprocess.run([str(word) for word in words], check=True)
