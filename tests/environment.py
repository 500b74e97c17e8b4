"""What all processes of the tests inherit.

To be imported before Ray and torch, which read some of it when they are.
"""

import atexit
import os
import secrets
import shutil
import signal
import tempfile

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# A token of these tests' own. Otherwise the first local runtime writes one into the user's home
# directory, and every later `ray start` of that user behaves differently because it is there.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
# Ray's folders, which are open to all users of a machine, inside one that is not; and no other
# cluster of the user is found there. Processes of the tests inherit it, and its maker removes it.
if "RAY_TMPDIR" not in os.environ:
    os.environ["RAY_TMPDIR"] = tempfile.mkdtemp(prefix="tests-", dir="/tmp")  # short, for sockets
    atexit.register(shutil.rmtree, os.environ["RAY_TMPDIR"], ignore_errors=True)
# A cluster that the user works with is no place for tests.
os.environ.pop("RAY_ADDRESS", None)
# A script that starts tests with `&` has them ignore Ctrl-C, and what they start as well. What is
# to be tested is how a job in the foreground ends.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
