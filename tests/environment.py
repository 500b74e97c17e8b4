"""What Ray and torch read from the environment when they are imported: to be imported before them.

Every process that a test starts inherits it.
"""

import os
import secrets

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# A token of these tests' own. Otherwise the first local runtime writes one into the user's home
# directory, and every later `ray start` of that user behaves differently because it is there.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
# A cluster that the user works with is no place for tests.
os.environ.pop("RAY_ADDRESS", None)
