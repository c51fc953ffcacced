"""What holds for all tests: hypothesis never judges by the clock, because machines are busy, and a run of CI can be repeated.

`GANTRY_EXPLORE=yes pytest …` tries examples that no run has tried before; what it finds becomes a case or a rule.
"""

import os

from hypothesis import HealthCheck, settings

EXPLORE = bool(os.environ.get("GANTRY_EXPLORE"))

settings.register_profile("gantry", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=not EXPLORE)
settings.load_profile("gantry")
