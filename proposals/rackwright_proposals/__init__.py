"""Site to bundles: load YAML with marks, merge, render, lint. Pure functions."""
