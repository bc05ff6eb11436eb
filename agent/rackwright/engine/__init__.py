"""The one converge loop: observe, plan, guard, gate, commit, verify, report."""
