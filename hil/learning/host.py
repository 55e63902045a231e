"""The host's layers before an energy block, in the memory layout in which a CPU is fast."""

from __future__ import annotations

from torch import Tensor, nn

from emulator.couplings import channels_last


class HostLayers(nn.Sequential):
    """`nn.Sequential`; on a CPU, maps that are convolved have their channels side by side.

    Convolutions and rectifiers take as long either way, pooling a twentieth. Energy blocks work in that layout, too.
    Images of one channel lie the same way in both layouts, and torch goes on with the other one.
    """

    def forward(self, input: Tensor) -> Tensor:
        """One layer after another, (batch, ...)."""
        convolved = any(isinstance(layer, nn.Conv2d) for layer in self)
        laid = channels_last(input) if convolved and input.device.type == "cpu" else input
        out: Tensor = super().forward(laid)
        return out
