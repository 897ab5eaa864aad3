"""Training: settings, the loop, checkpoints, the run folder."""
