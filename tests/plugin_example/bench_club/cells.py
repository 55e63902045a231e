"""Laws of cells."""

import torch


def soft(pulses, x, up, *, end=1.0):
    """Steps that shrink towards the end of the range."""
    return (x * -1.0 + end) * 2.0 if up else x * 2.0


def leak(drift, cells, written_s, elapsed_s, xi, walk_s, *, tau_s):
    """Conductances fall with one time constant."""
    return written_s * torch.exp(-elapsed_s.to(written_s.dtype) / tau_s)


def hiss(noise, cells, conductance_s, age_s, *, share=0.01):
    """A share of the range, whatever the conductance."""
    return torch.full_like(conductance_s, share * cells.span_s)
