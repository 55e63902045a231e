"""Gradients other than the device's own, and what compares them: baselines, coupled learning, gradient checks."""
