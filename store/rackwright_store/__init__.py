"""Git to bundles, database, HTTP API."""
