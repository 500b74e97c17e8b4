"""The environment of all processes of the tests.

Imported before Ray and torch, which read some of it when they are imported.
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
# A token for these tests. Otherwise the first local runtime writes one into the user's home
# directory, and every later `ray start` of that user would use it.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
# Ray's folders, which are open to all users of a machine, inside one that is not; and no other
# cluster of the user is found there. Processes of the tests inherit it, and the one that made it
# removes it.
if "RAY_TMPDIR" not in os.environ:
    os.environ["RAY_TMPDIR"] = tempfile.mkdtemp(prefix="tests-", dir="/tmp")  # short, for sockets
    atexit.register(shutil.rmtree, os.environ["RAY_TMPDIR"], ignore_errors=True)
# Tests must not use a cluster of the user.
os.environ.pop("RAY_ADDRESS", None)
# A script that starts tests with `&` makes them, and their children, ignore Ctrl-C, and `nohup` the
# end of a terminal. The tests are about jobs in the foreground: children do not inherit a handler.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)
