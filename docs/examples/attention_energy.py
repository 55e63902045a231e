"""A modern Hopfield network: the state is drawn to the patterns that its overlap with them selects.

Ramsauer et al. 2020 (arXiv 2008.02217): `E = -1/b log sum_k exp(b <pattern_k, s>) + |s|^2 / 2 - <drive, s>`; at rest
`s = drive + patterns^T softmax(b patterns s)`, which is attention.
"""

from dataclasses import dataclass

import torch

from hil import Energy, register


@register("energies", "attention")
@dataclass(frozen=True, kw_only=True)
class Attention(Energy):
    """One layer of states and a memory of patterns.

    Attributes:
        patterns: How many.
        sharpness: `b`; small ones average the patterns, large ones choose.
    """

    patterns: int = 16
    sharpness: float = 1.0

    @property
    def layers(self):
        return (self.drive_shape,)

    def initial(self):
        units = self.drive_shape[0]
        return {"memory": torch.randn(self.patterns, units) / units**0.5}

    def energy(self, parameters, drive, states):
        (s,) = states
        overlap = s @ parameters["memory"].T
        attracted = torch.logsumexp(self.sharpness * overlap, 1) / self.sharpness
        return (s**2).sum(1) / 2 - (drive * s).sum(1) - attracted
