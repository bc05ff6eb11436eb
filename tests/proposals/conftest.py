"""Hypothesis without its clock: other tests run beside these on the same cores."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("proposals", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("proposals")
