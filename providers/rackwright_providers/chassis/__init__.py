"""PDUs."""
