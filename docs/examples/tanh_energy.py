"""A layered network of tanh neurons: `E = sum ln-terms - states W states`, in forty lines."""

from dataclasses import dataclass

import torch

from hil import Energy, register


@register("energies", "tanh")
@dataclass(frozen=True, kw_only=True)
class Tanh(Energy):
    """Layers of tanh neurons, each coupled to the next: `s = tanh(gain * (drive + W s))` at rest.

    Attributes:
        units: Neurons of every layer behind the first, which has one a drive.
        gain: Slope of a neuron at 0.
    """

    units: tuple[int, ...]
    gain: float = 0.5

    @property
    def layers(self):
        return (self.drive_shape, *((units,) for units in self.units))

    def initial(self):
        sizes = [shape[0] for shape in self.layers]
        return {f"weight_{i}": torch.randn(b, a) / a**0.5 for i, (a, b) in enumerate(zip(sizes, sizes[1:]))}

    def rails(self):
        return ((-0.999999, 0.999999),) * len(self.layers)

    def energy(self, parameters, drive, states):
        total = -(drive * states[0]).sum(1)
        for s in states:  # the integral of artanh: its derivative, artanh(s) / gain, is the current a neuron needs
            total = total + (s * torch.atanh(s) + torch.log1p(-(s**2)) / 2).sum(1) / self.gain
        for i, (pre, post) in enumerate(zip(states, states[1:])):
            total = total - torch.einsum("bi,ij,bj->b", post, parameters[f"weight_{i}"], pre)
        return total
