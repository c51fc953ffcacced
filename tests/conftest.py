"""What holds for all tests: hypothesis never judges by the clock, because machines are busy."""

from hypothesis import HealthCheck, settings

settings.register_profile("gantry", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gantry")
