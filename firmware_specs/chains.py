"""Topologies of the usual chains: one layer behind the other, dense, convolutional or resistive."""

from __future__ import annotations

from collections.abc import Sequence

from firmware_specs.given import is_whole
from firmware_specs.topology import Conv, Dense, Layer, Topology


def dense_chain(
    units: Sequence[int], *, slope: float = 1.0, rail: float = 1.0, clamp_last: bool = False, bias: bool = True
) -> Topology:
    """Hopfield chain of dense layers, e.g. `dense_chain([256, 128])`: two layers, one crossbar.

    Raises:
        TypeError: `units` is no list of positive whole numbers.
    """
    _check_sizes("units", units)
    last = len(units) - 1
    return Topology(
        layers=tuple(
            Layer(shape=(n,), clamped=clamp_last or i < last, slope=slope, rail=rail) for i, n in enumerate(units)
        ),
        couplings=tuple(Dense(pre=i, post=i + 1, bias=bias) for i in range(last)),
    )


def conv_chain(
    shape: tuple[int, int, int],
    channels: Sequence[int],
    *,
    kernel: int = 3,
    padding: int | None = None,
    pool: bool = False,
    slope: float = 1.0,
    rail: float = 1.0,
    clamp_last: bool = True,
    bias: bool = True,
) -> Topology:
    """Hopfield chain of convolutional layers, e.g. `conv_chain((3, 32, 32), [32, 64], pool=True)`.

    Args:
        shape: (channels, height, width) of the first layer, which is driven.
        channels: Maps of every further layer; each is behind one convolutional crossbar.
        kernel: Side of the kernels.
        padding: Zeros around the maps; half a kernel when omitted, so that maps keep their size.
        pool: Pool 2 x 2 maxima behind every convolution.
        slope: Gain of clamped neurons.
        rail: Where they clip; 6, with a slope of 1, for ReLU6.
        clamp_last: Clip the last layer too; it is linear otherwise.
        bias: Bias a map.

    Raises:
        TypeError: a size is no positive whole number.
        ValueError: the maps run out: smaller kernels, fewer layers or no pooling would do.
    """
    _check_sizes("shape", shape)
    _check_sizes("channels", channels)
    if not is_whole(kernel, 1):
        raise TypeError(f"kernel: {kernel!r:.80}, expected a positive whole number, e.g. 3")
    if len(shape) != 3:
        raise ValueError(f"shape: {tuple(shape)}, expected (channels, height, width)")
    shapes: list[tuple[int, ...]] = [tuple(shape)]
    couplings = []
    for index, maps in enumerate(channels):
        edge = kernel // 2 if padding is None else padding
        conv = Conv(pre=index, post=index + 1, kernel=kernel, padding=edge, pool=pool, bias=bias)
        after = conv.output_shape(shapes[-1], maps)
        if min(after) < 1:
            raise ValueError(f"channels[{index}]: a layer of shape {shapes[-1]} leaves nothing behind it, {after}")
        couplings.append(conv)
        shapes.append(after)
    last = len(shapes) - 1
    layers = tuple(Layer(shape=s, clamped=clamp_last or i < last, slope=slope, rail=rail) for i, s in enumerate(shapes))
    return Topology(layers=layers, couplings=tuple(couplings))


def _check_sizes(name: str, sizes: object) -> None:
    listed = isinstance(sizes, Sequence) and not isinstance(sizes, str) and len(sizes) > 0
    if listed and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in sizes):  # type: ignore[attr-defined]
        return
    raise TypeError(f"{name}: {sizes!r:.80}, expected a list of positive whole numbers, e.g. [64, 32]")


def resistive_chain(source: int, units: Sequence[int], *, bias: bool = True) -> Topology:
    """Deep resistive network of dense layers, diodes on all but the last: `resistive_chain(2 * 784, [100, 10])`.

    Raises:
        TypeError: a size is no positive whole number.
    """
    _check_sizes("source", [source])
    _check_sizes("units", units)
    last = len(units) - 1
    return Topology(
        substrate="resistive",
        source=(source,),
        layers=tuple(Layer(shape=(n,), clamped=i < last) for i, n in enumerate(units)),
        couplings=tuple(Dense(pre=i - 1, post=i, bias=bias) for i in range(last + 1)),
    )
