"""What is drawn of every item of a characterization; a function each, for a page, a paper or a notebook.

`hil.report.measured_plots.drift(data)[0].figure()` draws one; `plots(found)` gives all of a characterization.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hil.measuring.characterize import health as cells
from hil.measuring.characterize.items import iv as ivs
from hil.measuring.characterize.items import programming as writes
from hil.measuring.characterize.items import pulse_response as pulses
from hil.measuring.characterize.items import read_noise as noises
from hil.measuring.characterize.items import transfer as transfers
from hil.measuring.characterize.items.item import conductances
from hil.measuring.characterize.run import Characterization
from hil.report.plot import Plot, curves, distribution, maps

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]
GROUPS = 16


def plots(found: Characterization) -> dict[str, list[Plot]]:
    """All drawings of a characterization by item, its broken cells left out of all but maps."""
    return {name: PLOTS[name](data) for name, data in found.data.items() if name in PLOTS}


def found(data: xr.Dataset) -> list[Plot]:
    """The cells as they were found: maps and distribution of conductances of every coupling."""
    drawn = []
    for name in (str(n) for n in data.data_vars if str(n).startswith("level")):
        level = data[name].to_numpy()[0].mean(axis=0)
        title = "As found" if name == "level" else f"As found, coupling {name.removeprefix('level_')}"
        drawn += maps(f"found_{name}", title, _siemens(data, level), "conductance", "S")
        drawn.append(distribution(f"found_{name}_cdf", title, _siemens(data, level), "conductance", "S"))
    return drawn


def health(data: xr.Dataset) -> list[Plot]:
    """What works: 0 good, 1 stuck low, 2 stuck high, 3 on a dead line."""
    return maps("health", "Health", cells.of(data).astype(float), "0 good, 1 stuck low, 2 high, 3 dead line")


def transfer(data: xr.Dataset) -> list[Plot]:
    """State against drive of a few units, gain and offset of all."""
    state, drive = data["state"].to_numpy()[0], data["drive"].to_numpy()[0]
    levels = np.unique(drive)
    means = np.array([state[drive == d].mean(axis=0) for d in levels])
    error = np.array([state[drive == d].std(axis=0, ddof=1) / np.sqrt((drive == d).sum()) for d in levels])
    units = transfers.unit_fits(data)
    some = np.flatnonzero(units.live)[:4]
    shown = [(f"unit {u}", means[:, u], error[:, u]) for u in some]
    return [
        curves("transfer", "Drive to state", ("drive", "", levels), ("state", ""), shown),
        distribution("transfer_gain", "Gain of units", units.lines.gain[units.live], "gain"),
        distribution("transfer_offset", "Offset of units", units.lines.offset[units.live], "drive at state 0"),
    ]


def settle_time(data: xr.Dataset) -> list[Plot]:
    """State against the wait."""
    time, state = data["time"].to_numpy(), data["state"].to_numpy()
    order = np.argsort(time)
    each = state.mean(axis=2)
    sigma = each.std(axis=1, ddof=1) / np.sqrt(each.shape[1])
    mean = each.mean(axis=1)
    line = [("", mean[order], sigma[order])]
    return [curves("settle_time", "State after a shorter wait", ("wait", "s", time[order]), ("mean state", ""), line)]


def nudge(data: xr.Dataset) -> list[Plot]:
    """Contrast per nudge, and its noise."""
    size, contrast = data["nudge"].to_numpy(), data["contrast"].to_numpy()
    each = contrast.mean(axis=2) / (2 * size[:, None])
    sigma = each.std(axis=1, ddof=1) / np.sqrt(each.shape[1])
    noise = contrast.std(axis=1, ddof=1).mean(axis=1) / np.abs(contrast.mean(axis=(1, 2)))
    x = ("nudge", "", size)
    return [
        curves(
            "nudge_response", "Response to a nudge", x, ("contrast / 2 nudge", ""), [("", each.mean(axis=1), sigma)]
        ),
        curves("nudge_noise", "Noise of one contrast", x, ("relative noise", ""), [("", noise, None)], log_y=True),
    ]


def iv(data: xr.Dataset) -> list[Plot]:
    """Current against voltage of a few cells, and what the common law leaves of all."""
    volts = data["voltage"].to_numpy()[0]
    current = data["current"].to_numpy()[0].mean(axis=1)[:, cells.good(data)]
    order = np.argsort(np.abs(current[-1]))
    some = order[np.linspace(0, len(order) - 1, 5).astype(int)]
    a, b = (e.value for e in ivs.nonlinearity(volts, current))
    shape = volts + a * volts * np.abs(volts) + b * volts**3
    left = current - np.outer(shape, (shape @ current) / (shape @ shape))
    rest = np.sqrt(((left / np.abs(current).max(axis=0)) ** 2).mean(axis=1))
    x = ("voltage", "V", volts)
    return [
        curves(
            "iv", "Current against voltage", x, ("current", "A"), [(f"cell {c}", current[:, c], None) for c in some]
        ),
        curves(
            "iv_left", "What the law leaves", x, ("rms share of the largest current", ""), [("", rest, None)], low=0
        ),
    ]


def programming(data: xr.Dataset) -> list[Plot]:
    """Programming noise over the range, errors of writes, the largest of each cell."""
    sigma, target = writes.sigma_by_level(data)
    order, good = np.argsort(target), writes.follows(data)
    error = data["level"].to_numpy().mean(axis=1) - target[:, None, None, None]
    low_s, span_s = _range(data)
    line = [("", [sigma[i].value for i in order], [sigma[i].sigma for i in order])]
    return [
        curves(
            "programming_noise", "Programming noise", ("target level", "", target[order]), ("share of the range", ""),
            line, low=0, siemens=(low_s, low_s + span_s),
        ),
        distribution("programming_error", "Error of a write", error[:, good] * span_s, "achieved - target", "S"),
        *maps("programming_worst", "Largest error of each cell", np.abs(error).max(axis=0) * span_s, "error", "S"),
    ]  # fmt: skip


def read_noise(data: xr.Dataset) -> list[Plot]:
    """Noise of a reading against conductance at every age."""
    low_s, span_s = _range(data)
    lines, x = [], np.zeros(0)
    for number, age in enumerate(data["age"].to_numpy()):
        level, sigma = noises.by_cell(data, number)
        groups = np.array_split(np.argsort(level), GROUPS)
        square = np.array([(sigma[g] ** 2).mean() for g in groups])
        error = np.array(
            [np.sqrt(s / (2 * (data.sizes["read"] - 1) * g.size)) for s, g in zip(square, groups, strict=True)]
        )
        x = np.array([low_s + span_s * level[g].mean() for g in groups]) if not number else x
        lines.append((f"{age:g} s after the write", np.sqrt(square) * span_s, error * span_s))
    return [curves("read_noise", "Read noise", ("conductance", "S", x), ("sigma of a reading", "S"), lines, low=0)]


def temperature(data: xr.Dataset) -> list[Plot]:
    """Mean conductance against temperature, relative to that at the first."""
    kelvin, good = data["kelvin"].to_numpy(), cells.good(data)
    each = conductances(data)[:, good]
    kept = each.mean(axis=1) / each[0].mean()
    reads = data["level"].to_numpy()[:, :, good]
    sigma = np.sqrt((reads.var(axis=1, ddof=1) / reads.shape[1]).mean(axis=1) / good.sum()) / each[0].mean()
    order = np.argsort(kelvin)
    x = ("temperature", "K", kelvin[order])
    line = [("", kept[order], sigma[order])]
    return [
        curves("temperature", "Conductance against temperature", x, (f"share of that at {kelvin[0]:g} K", ""), line)
    ]


def drift(data: xr.Dataset) -> list[Plot]:
    """What is kept of the conductance, by thirds of it, and of each cell at the end."""
    age, good = data["age"].to_numpy(), cells.good(data)
    whole = conductances(data)
    flat = whole[:, good]
    kept = flat / flat[0]
    lines = []
    for label, chosen in zip(("low", "middle", "high"), np.array_split(np.argsort(flat[0]), 3), strict=True):
        part = kept[:, chosen]
        sigma = 1.2533 * part.std(axis=1, ddof=1) / np.sqrt(part.shape[1])
        lines.append((f"{label} third", np.median(part, axis=1), sigma))
    end = np.where(good, whole[-1] / np.where(whole[0] > 0, whole[0], np.nan), np.nan)
    x = ("time since the write", "s", age)
    return [
        curves("drift", "Conductance kept, median of cells", x, ("share", ""), lines, log_x=True),
        *maps("drift_kept", f"Kept after {age[-1]:g} s", end, "share"),
    ]


def pulse_response(data: xr.Dataset) -> list[Plot]:
    """Levels against pulses, step against level, and the step of every cell."""
    good = cells.good(data)
    flat = data["level"].to_numpy().mean(axis=1)[:, good]
    direction, count = data["direction"].to_numpy(), data["pulses"].to_numpy()
    given = np.cumsum(np.abs(direction) * count)
    spread = flat.std(axis=1, ddof=1) / np.sqrt(flat.shape[1])
    some = [(f"cell {c}", flat[:, c], None) for c in (0, flat.shape[1] // 2)]
    lines = [("mean", flat.mean(axis=1), spread), *some]
    drawn = [
        curves(
            "pulse_levels", f"Potentiation and depression, {_pulse(data)}", ("pulses", "", given), ("level", ""), lines
        )
    ]
    for sign, name in ((1, "up"), (-1, "down")):
        chosen = np.flatnonzero(direction[1:] == sign) + 1
        if not chosen.size:
            continue
        step = sign * (flat[chosen] - flat[chosen - 1]) / count[chosen][:, None]
        middle = (flat[chosen] + flat[chosen - 1]).mean(axis=1) / 2
        error = step.std(axis=1, ddof=1) / np.sqrt(step.shape[1])
        order = np.argsort(middle)
        line = [("", step.mean(axis=1)[order], error[order])]
        x, (low_s, span_s) = ("level", "", middle[order]), _range(data)
        drawn.append(
            curves(
                f"pulse_step_{name}", f"Step of a pulse {name}", x, ("share of the range", ""), line,
                siemens=(low_s, low_s + span_s),
            )
        )  # fmt: skip
    step = pulses.steps_by_cell(data)
    return [*drawn, distribution("pulse_step_cdf", "Step of each cell at mid-range", step, "share of the range")]


def _pulse(data: xr.Dataset) -> str:
    """Height and width of the pulses that went out, each kind once."""
    heights, widths = data["amplitude"].to_numpy(), data["width"].to_numpy()
    kinds = sorted({(float(v), float(s)) for v, s in zip(heights, widths, strict=True) if s > 0})
    return "pulses of " + " and ".join(f"{v:g} V for {s:g} s" for v, s in kinds)


def _range(data: xr.Dataset) -> tuple[float, float]:
    """Smallest conductance and the span, siemens."""
    low, high = float(data.attrs["g_min_s"]), float(data.attrs["g_max_s"])
    return low, high - low


def _siemens(data: xr.Dataset, level: Array) -> Array:
    low_s, span_s = _range(data)
    return np.asarray(low_s + level * span_s)


PLOTS: dict[str, Callable[[xr.Dataset], list[Plot]]] = {
    "found": found, "health": health, "transfer": transfer, "settle_time": settle_time, "nudge": nudge, "iv": iv,
    "programming": programming, "read_noise": read_noise, "temperature": temperature, "drift": drift,
    "pulse_response": pulse_response,
}  # fmt: skip
