"""Run folders: configuration, provenance, metrics and checkpoints of one training run."""
