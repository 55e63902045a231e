"""The products of a convolutional coupling, each in every way there is, and in the one that was chosen.

Weights are prepared when a way is first used, so that what is not used costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from math import prod
from threading import RLock

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

from emulator import winograd
from emulator.couplings import ConvCoupling, channels_last
from emulator.running import Sum
from emulator.ways import DIRECT, PACKED, WINOGRAD, WINOGRAD_PACKED, Ways, Work, measured_samples, ran
from emulator.winograd import Scratch

FEWEST_CHANNELS = 32
"""By rule: below, changing tiles costs more than it saves."""

Makers = Mapping[str, Callable[[], Sum]]
"""Prepares weights for a way, by its name."""


@dataclass(frozen=True)
class Formed:
    """`W x + b`, or `W x + current`, of maps.

    Attributes:
        use: As in `Work`.
        makers: The ways there are.
        usual: The one without a measurement.
        ways: Who chooses.
        plain: The coupling.
        given: (channels, height, width) of what is multiplied.
        result: The same of the product.
        adds: Whether a current is usually added.
        compared: Ways that are timed only, and formed elsewhere: their weights are not kept.
    """

    use: str
    makers: Makers
    usual: str
    ways: Ways
    plain: ConvCoupling
    given: tuple[int, ...]
    result: tuple[int, ...]
    adds: bool
    compared: tuple[str, ...] = ()
    _made: dict[str, Sum] = field(default_factory=dict)
    _chosen: dict[tuple[int, int], str] = field(default_factory=dict)
    _one: AbstractContextManager[object] = field(default_factory=RLock)

    def __call__(self, x: Tensor, current: Tensor | None = None) -> Tensor:
        """The product of a batch, plus a current of its shape where one is given."""
        return self._by(self.way(len(x)))(x, current)

    def way(self, batch: int) -> str:
        """The name of the way for so many samples."""
        if len(self.makers) == 1:
            return self.usual
        at = batch, torch.get_num_threads()
        if at not in self._chosen:
            with self._one:
                if at not in self._chosen:  # another thread may have asked meanwhile
                    self._chosen[at] = self._choose(*at)
        return self._chosen[at]

    def _choose(self, batch: int, threads: int) -> str:
        work, before = self._work(batch, threads), set(self._made)
        runs = self._runs(work.samples)
        while not self._serves(chosen := self.ways.way(work, self.usual, runs), runs):
            del runs[chosen]
        for name in set(self._made) - before - {chosen} | set(self._made).intersection(self.compared):
            del self._made[name]  # timed, and not taken: its weights are as large as the others
        return chosen

    def _serves(self, name: str, runs: Mapping[str, Callable[[], object]]) -> bool:
        """Whether it can be run: somebody may have named it, or a file from elsewhere."""
        untried = name not in self._made and name not in self.compared and name != self.usual
        return not untried or ran(runs[name])

    def _by(self, name: str) -> Sum:
        made = self._made.get(name)
        if made is None:
            with self._one:
                if (made := self._made.get(name)) is None:
                    made = self._made[name] = self.makers[name]()
        return made

    def _work(self, batch: int, threads: int) -> Work:
        spec, (_, height, width) = self.plain.spec, self.plain.pre
        cells = self.plain.weight[0, 0].numel()
        mapped = (self.result if self.use != "down" else self.given)[1:]
        operations = 2 * cells * self.given[0] * self.result[0] * prod(mapped)
        samples = measured_samples(batch, operations, max(1, height * width // winograd.TILE**2), threads)
        shape = (self.given[0], self.result[0], height, width, spec.kernel, spec.stride, spec.padding)
        return Work(self.use, *shape, self.plain.weight.dtype, samples, threads)

    def _runs(self, samples: int) -> dict[str, Callable[[], object]]:
        weight = self.plain.weight
        x, current = (channels_last(weight.new_full((samples, *shape), 0.5)) for shape in (self.given, self.result))
        return {name: partial(self._run, name, x, current if self.adds else None) for name in self.makers}

    def _run(self, name: str, x: Tensor, current: Tensor | None) -> Tensor:
        with torch.no_grad():
            return self._by(name)(x, current)


@dataclass(frozen=True)
class Change:
    """A sum that is followed by what changed, where that is faster than forming it anew.

    Attributes:
        formed: Compared with the ways of forming it anew.
    """

    formed: Formed

    def of(self, value: Tensor) -> Sum | None:
        """How a change of this size is added; None where the sum is better formed anew."""
        return None if self.formed.way(len(value)) in self.formed.compared else self.formed


def up(plain: ConvCoupling, scratch: Scratch, ways: Ways) -> Formed:
    """`W x + b`, before pooling."""
    makers = _convolutions(plain.weight, plain.bias, plain)
    # three times the rounding would choose another maximum in as many more of the windows that are nearly tied
    if plain.spec.pool and plain.weight.dtype != torch.bfloat16:
        return _formed("pooled", plain, makers, ways, adds=False)
    return _formed("up", plain, makers | _winograds(plain, plain.bias, scratch, back=False), ways, adds=False)


def down(plain: ConvCoupling, scratch: Scratch, ways: Ways) -> Formed:
    """`W^T x`."""
    spec = plain.spec
    if spec.stride > 1 or spec.padding >= spec.kernel:
        layout = replace(plain, weight=channels_last(plain.weight))
        makers: dict[str, Callable[[], Sum]] = {DIRECT: lambda: lambda x, c: _added(layout.down(x, None), c)}
        return _formed("down", plain, makers, ways, adds=True)
    turned = plain.weight.flip(2, 3).transpose(0, 1)
    makers = _convolutions(turned, None, plain, padding=spec.kernel - 1 - spec.padding)
    return _formed("down", plain, makers | _winograds(plain, None, scratch, back=True), ways, adds=True)


def change(plain: ConvCoupling, scratch: Scratch, ways: Ways) -> Change | None:
    """`W x + current` for a pooled coupling's changes; None where no way forms it with fewer multiplications."""
    fewer = _winograds(plain, None, scratch, back=False)
    if not plain.spec.pool or plain.weight.dtype == torch.bfloat16 or not fewer:
        return None
    makers = _convolutions(plain.weight, plain.bias, plain)
    return Change(_formed("change", plain, makers | fewer, ways, adds=True, compared=tuple(makers)))


def _formed(
    use: str, plain: ConvCoupling, makers: Makers, ways: Ways, adds: bool, compared: tuple[str, ...] = ()
) -> Formed:
    channels, height, width = plain.pre
    spec, cells = plain.spec, plain.weight.shape
    high, wide = ((n + 2 * spec.padding - spec.kernel) // spec.stride + 1 for n in (height, width))
    shapes = ((channels, height, width), (cells[0], high, wide))
    given, result = shapes[::-1] if use == "down" else shapes
    usual = WINOGRAD if WINOGRAD in makers and min(cells[:2]) >= FEWEST_CHANNELS else DIRECT
    return Formed(use, makers, usual, ways, plain, given, result, adds, compared)


def _convolutions(
    weight: Tensor, bias: Tensor | None, plain: ConvCoupling, padding: int | None = None
) -> dict[str, Callable[[], Sum]]:
    stride, around = plain.spec.stride, plain.spec.padding if padding is None else padding

    def direct() -> Sum:
        layout = channels_last(weight)
        return lambda x, c: _added(F.conv2d(x, layout, bias, stride, around), c)

    def packed() -> Sum:
        steps = [around] * 2, [stride] * 2, [1, 1], 1
        ordered = torch._C._nn.mkldnn_reorder_conv2d_weight(weight.contiguous().to_mkldnn(), *steps)
        form = torch.ops.mkldnn._convolution_pointwise
        return lambda x, c: _added(form(x, ordered, bias, *steps, "none", [], ""), c)

    by_onednn = weight.device.type == "cpu" and _packs(weight.dtype)
    return {DIRECT: direct} | ({PACKED: packed} if by_onednn else {})


def _winograds(plain: ConvCoupling, bias: Tensor | None, scratch: Scratch, back: bool) -> dict[str, Callable[[], Sum]]:
    weight, (_, height, width) = plain.weight, plain.pre
    usual = (plain.spec.kernel, plain.spec.stride, plain.spec.padding) == (3, 1, 1)
    # a GPU's own library chooses for itself; bfloat16 bears differences only where direct convolutions are slowest
    bearable = weight.dtype != torch.bfloat16 or max(height, width) <= 2
    if not (usual and bearable and weight.device.type == "cpu" and winograd.suits(height, width)):
        return {}
    made = partial(winograd.prepare, weight, bias, (height, width), scratch, back=back)
    ways: dict[str, Callable[[], Sum]] = {WINOGRAD: made}
    if _packs(weight.dtype):
        ways[WINOGRAD_PACKED] = partial(made, products=winograd.packed)
    return ways


@cache
def _packs(dtype: torch.dtype) -> bool:
    """Whether torch's oneDNN takes weights of this type in an order of its own, on this processor."""
    if dtype not in (torch.float32, torch.bfloat16) or not torch.backends.mkldnn.is_available():
        return False
    try:
        image, kernel = torch.ones(1, 1, 3, 3, dtype=dtype), torch.ones(1, 1, 1, 1, dtype=dtype)
        ordered = torch._C._nn.mkldnn_reorder_conv2d_weight(kernel.to_mkldnn(), [0, 0], [1, 1], [1, 1], 1)
        torch.ops.mkldnn._convolution_pointwise(image, ordered, None, [0, 0], [1, 1], [1, 1], 1, "none", [], "")
        row = torch.ops.mkldnn._reorder_linear_weight(torch.ones(1, 3, dtype=dtype), None)
        torch.ops.mkldnn._linear_pointwise(image[0, 0], row, None, "none", [], "")
    except (RuntimeError, AttributeError, TypeError):  # calls of torch's own, which other releases may lack
        return False
    return True


def _added(fresh: Tensor, current: Tensor | None) -> Tensor:
    return fresh if current is None else fresh.add_(current)
