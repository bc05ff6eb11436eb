"""What it costs, side by side with the peers, measured in the same run."""
