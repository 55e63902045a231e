"""What a calibration found, in lines for a terminal and rows for a report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from hil.measuring.calibrate.entries import ArrayEntry, CouplingEntry, LayerEntry, LinearityEntry


def lines(arrays: Iterable[ArrayEntry]) -> Iterator[str]:
    """A line a layer, a coupling and whatever else was measured or skipped."""
    for array in arrays:
        name = f"array {array.array}"
        for layer in array.layers:
            yield f"{name} layer {layer.layer}: {of_layer(layer)}"
            for what, linearity in (("ADC", layer.adc), (_through(layer), layer.dac)):
                if linearity is not None:
                    yield f"{name} layer {layer.layer}, {what}: {of_linearity(linearity, layer.step)}"
        for coupling in array.couplings:
            yield f"{name} coupling {coupling.coupling}: {of_coupling(coupling)}"
        yield from (f"{name} {text}" for text in of_array(array))
        yield from (f"{name} {what}: skipped, {why}" for what, why in array.skipped.items())


def of_layer(layer: LayerEntry) -> str:
    """Gain and offset of units and channels that were told, with the typical uncertainty of one of them."""

    def spread(name: str) -> str:
        values, sigma = layer.array(name), layer.array(f"{name}_sigma")
        return f"{values.mean():+.4f} spread {values.std():.4f} (+- {np.median(sigma):.4f})"

    nominal = {"gain": 1.0, "offset": 0.0, "read_gain": 1.0, "read_offset": 0.0}
    told = {n: bool(layer.array(f"{n}_sigma").any() or (layer.array(n) != value).any()) for n, value in nominal.items()}
    words = [f"{name.replace('read', 'channel').replace('_', ' ')} {spread(name)}" for name in nominal if told[name]]
    words += ["channels taken as nominal"] * (not told["read_gain"] and not told["read_offset"])
    return ", ".join([*words, f"noise {layer.noise:.4f}", f"{len(layer.dead)} of {len(layer.gain)} units dead"])


def of_linearity(found: LinearityEntry, step: float) -> str:
    """INL and DNL, in steps of the ADC where it has steps."""
    unit, scale = ("LSB", 1 / step) if step else ("of the range", 1.0)

    def typical(values: tuple[float, ...], sigma: tuple[float, ...]) -> str:
        return f"{np.median(values) * scale:.3g} +- {np.median(sigma) * scale:.2g} {unit}"

    text = f"INL {typical(found.inl, found.inl_sigma)} in {len(found.units)} channels"
    return text + (f", DNL {typical(found.dnl, found.dnl_sigma)}" if found.dnl else "")


def of_coupling(coupling: CouplingEntry) -> str:
    """How well cells are written, once and verified."""
    worst = max(np.hypot(e, s) for e, s in zip(coupling.error, coupling.spread, strict=True))
    return (
        f"write error {coupling.once:.4f} +- {coupling.once_sigma:.4f} of the range once, {worst:.4f} verified to "
        f"{coupling.tolerance:g}, worst {coupling.worst:.4f}, {coupling.missed} cells missed, "
        f"{len(coupling.stuck)} stuck, {len(coupling.dead_rows)} rows and {len(coupling.dead_columns)} columns dead"
    )


def of_array(array: ArrayEntry) -> Iterator[str]:
    """Settle time and sources."""
    if array.settling is not None:
        s = array.settling
        moved = f"states move below {s.unmoved_s:.3g} s, time constant {s.tau_s:.3g} +- {s.tau_sigma_s:.2g} s"
        none = f"no state moved with any wait down to {s.unmoved_s:.3g} s: the device's usual wait is kept"
        yield "settle time: " + (none if s.wait_s is None else f"{moved}, wait {s.wait_s:.3g} s")
    if array.sources is not None:
        gain, sigma = np.array(array.sources.gain), np.array(array.sources.gain_sigma)
        yield f"sources: gain {gain.mean():.4f} spread {gain.std():.4f} (+- {np.median(sigma):.4f})"


def _through(layer: LayerEntry) -> str:
    name = {"drive_dac": "drive DAC", "nudge_dac": "nudge DAC"}.get("" if layer.dac is None else layer.dac.through, "")
    return name if layer.adc is not None else f"{name} and ADC together"
