"""The kernels' own tests with a library that watches every access and every operation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from trainables.kernels import library

SANITISERS = "-fsanitize=address,undefined -fno-sanitize-recover=all -g"


@pytest.mark.faults
def test_no_access_beyond_an_array_and_nothing_undefined(tmp_path: Path) -> None:
    """AddressSanitizer and UndefinedBehaviorSanitizer in a process of its own, as they must be
    loaded before all else."""
    command = library.compiler()
    if shutil.which(command) is None:
        pytest.skip("no C++ compiler on this machine")
    compiler = tmp_path / "sanitising"
    compiler.write_text(f'#!/bin/sh\nexec {command} "$@" {SANITISERS}\n')
    compiler.chmod(0o755)
    runtimes = [
        subprocess.run(
            [command, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    if not all(os.path.isabs(path) for path in runtimes):
        pytest.skip("the compiler has no sanitisers")
    tests = Path(__file__).parent
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"),
            *(tests / f"test_{name}.py" for name in ("ops", "sizes", "framed")),
        ],
        env={
            **os.environ,
            "CXX": str(compiler),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "LD_PRELOAD": " ".join(runtimes),
            "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter's own
            "UBSAN_OPTIONS": "print_stacktrace=1",
        },
        cwd=tests.parent.parent, capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    assert "skipped" not in done.stdout and list((tmp_path / "cache").rglob("*.so"))
