"""The whole of Rackwright as real processes: crashes, fleets, hand-offs, commands."""

import pytest

pytest.register_assert_rewrite("tests.system.killing", "tests.system.sites")
