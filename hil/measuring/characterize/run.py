"""A characterization from its plan to its figures; cut off anywhere, it goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.crossbar import Crossbar
from firmware_specs.codes import Capability, ConverterId, Parameter
from firmware_specs.datasheet import Datasheet
from firmware_specs.shown import html
from hil.measuring.characterize.budget import check_budget
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.folder import measured, written
from hil.measuring.characterize.items import Drift, Found, Health, Item
from hil.measuring.characterize.items.health import codes
from hil.measuring.characterize.plan import Plan
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Mark, Step
from hil.measuring.characterize.store import Store
from hil.measuring.characterize.told import ChipError, begun, concluded
from hil.measuring.placed import present_topology
from hil.training.run import marked
from hil.training.run.atomic import write_json
from hil.training.run.kinds import CHARACTERIZATION
from hil.training.run.provenance import code_version

if TYPE_CHECKING:
    import xarray as xr

Progress = Callable[[str, int, int], None]
"""Told of item, steps done and steps in all."""


@dataclass(frozen=True)
class Characterization:
    """What was measured and concluded.

    Attributes:
        folder: Where it is kept.
        chip: Vendor, model, serial and firmware.
        data: One dataset an item.
        figures: What was concluded, in the order of the items.
        skipped: Items that the device cannot do and figures that came out of nothing, and why.
        notes: What of an earlier run did not read back and was measured again.
    """

    folder: Path
    chip: dict[str, str]
    data: dict[str, xr.Dataset]
    figures: tuple[Figure, ...]
    skipped: dict[str, str]
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Figure:
        """A figure by its name, e.g. `programming.sigma`."""
        for figure in self.figures:
            if figure.name == name:
                return figure
        raise KeyError(f"{name}: there are {', '.join(f.name for f in self.figures)}")

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td><code>{html(f.name)}</code></td><td>{f.measured._repr_html_()}</td>"
            f"<td>{'' if f.stated is None else f'{f.stated:.4g}'}</td><td>{html(f.verdict)}</td></tr>"
            for f in self.figures
        )
        return f"<table><tr><th>figure</th><th>measured</th><th>datasheet</th><th>verdict</th></tr>{rows}</table>"


def characterize(
    crossbar: Crossbar,
    plan: Plan,
    folder: Path,
    sheet: Datasheet | None = None,
    progress: Progress = lambda item, done, of: None,
) -> Characterization:
    """Measures what is not measured yet, and concludes.

    Args:
        crossbar: The open device; its outputs go on.
        plan: What to measure. A folder that was begun with it is gone on with.
        folder: Where data, figures and provenance go.
        sheet: What the device is supposed to be.
        progress: Told of every step.

    Raises:
        PlanError: the plan costs more pulses than its budget. ChipError: the folder is another chip's or plan's.
        DeviceError: the device failed; what is measured is kept.
    """
    with written(folder):
        return _characterize(crossbar, plan, folder, sheet, progress)


def _characterize(
    crossbar: Crossbar, plan: Plan, folder: Path, sheet: Datasheet | None, progress: Progress
) -> Characterization:
    chip = _identity(crossbar)
    gone_on = _begun(folder, plan, chip)
    probe = Probe(crossbar, plan.rows, plan.columns, plan.array, sheet, place=False)
    skipped = {item.NAME: why for item in plan.items if (why := _why_not(probe, item))}
    able = [item for item in plan.items if item.NAME not in skipped]
    rows = {item.NAME: item.steps(probe) for item in able if not isinstance(item, Found)}
    check_budget(plan, rows)
    if not gone_on:
        _begin(folder, plan, chip, crossbar)
    store = Store(folder, _attributes(crossbar, probe, chip, plan))
    data: dict[str, xr.Dataset] = {}
    for item in able:
        if isinstance(item, Found):
            data[item.NAME] = _as_found(probe, store, item, progress)
            continue
        if not data.keys() - {Found.NAME}:
            probe.place()
        data[item.NAME] = _measure(probe, store, item, rows[item.NAME], progress)
        if isinstance(item, Health):
            probe.health = store.health = codes(data[item.NAME])
            probe.seen = data[item.NAME]["level"].to_numpy().mean(axis=(0, 1))
            data[item.NAME] = store.dataset(item.NAME, item.DIMS, item.UNITS)
        store.publish(item.NAME, data[item.NAME])
    found: list[Figure] = []
    for item in able:
        try:
            found += item.conclude(data[item.NAME], sheet)
        except (
            ValueError,
            ArithmeticError,
            LookupError,
        ) as error:  # what was measured is kept, and so are the other items' figures
            skipped[item.NAME] = f"measured, but no figures follow: {error}"
    figures = tuple(found)
    skipped |= {f.name: "the measurement gave no finite number" for f in figures if not f.finite}
    figures = tuple(figure for figure in figures if figure.finite)
    write_json(folder / "figures.json", {"chip": chip, "figures": [f.to_json() for f in figures], "skipped": skipped})
    return Characterization(folder, chip, data, figures, skipped, tuple(store.lost))


def load(folder: Path) -> Characterization:
    """A finished characterization from its folder.

    Raises:
        ChipError: it is none, or is not finished.
    """
    found = concluded(folder)
    if found is None:
        if (folder / "provenance.json").is_file():
            todo = "not finished: go on with"
        else:
            todo = f"{'no characterization in it' if folder.is_dir() else 'there is no such folder'}: make one with"
        raise ChipError(f"{folder}: {todo} `hil characterize --device ADDRESS --out {folder}`")
    figures = tuple(Figure(f.name, f.estimate, f.stated, f.note) for f in found.figures)
    return Characterization(folder, found.chip.model_dump(), measured(folder), figures, found.skipped)


def _as_found(probe: Probe, store: Store, item: Found, progress: Progress) -> xr.Dataset:
    """The cells under the block that is on the array, or under the region's own where there is none."""
    crossbar = probe.crossbar
    if store.done(item.NAME):
        return store.dataset(item.NAME, item.DIMS, item.UNITS)
    there = present_topology(crossbar, probe.array)
    looked = Probe(crossbar, probe.rows, probe.columns, probe.array, probe.sheet, there)
    found = _measure(looked, store, item, item.steps(looked), progress)
    store.publish(item.NAME, found)
    return found


def _measure(probe: Probe, store: Store, item: Item, steps: Sequence[Step], progress: Progress) -> xr.Dataset:
    """All steps, published while they are measured; who calls publishes the whole."""
    name = item.NAME
    if store.done(name) < len(steps):
        _check_kept(probe, store, name)
    for number in range(store.done(name), len(steps)):
        progress(name, number, len(steps))
        step = steps[number]
        _act(probe, store, name, number, step)
        store.keep(name, number, step.look(probe), step.at)
        if store.due and number + 1 < len(steps):  # the whole of it follows
            store.publish(name, store.dataset(name, item.DIMS, item.UNITS))
    progress(name, len(steps), len(steps))
    return store.dataset(name, item.DIMS, item.UNITS)


def _check_kept(probe: Probe, store: Store, name: str) -> None:
    """A measurement that was cut off goes on only in the cells it began in: their pulse counters never fall.

    Raises:
        ChipError: the device counts fewer writes and pulses than it did then.
    """
    then, now = store.last_pulses(name), Mark.of(probe).pulses
    if probe.can(Capability.USAGE) and now < then:
        raise ChipError(
            f"{store.folder}: {name} was cut off after {then} writes and pulses, the device counts {now}: its cells "
            "are not as they were left. An emulated chip in process begins anew with every call "
            "(`hil emulate` keeps one); take another --out"
        )


def _act(probe: Probe, store: Store, name: str, number: int, step: Step) -> None:
    """Does the step's deeds that were not done before a run was cut off."""
    begun = store.intent(name, number)
    first = 0
    if begun is not None:
        deed, before = begun
        first = deed + 1 if step.deeds[deed].happened(before, Mark.of(probe)) else deed
    for index in range(first, len(step.deeds)):
        store.intend(name, number, index, Mark.of(probe))
        step.deeds[index].apply(probe)


def _why_not(probe: Probe, item: Item) -> str:
    """Why an item is skipped; empty where it is measured."""
    missing = ", ".join(c.name or "" for c in item.NEEDS if not probe.can(c))
    return f"the device lacks {missing}" if missing else item.refusal(probe)


def _called(chip: dict[str, str]) -> str:
    return f"{chip['vendor']} {chip['model']}, serial number {chip['serial']}, firmware {chip['firmware']}"


def _begun(folder: Path, plan: Plan, chip: dict[str, str]) -> bool:
    """Was the folder begun before? Raises `ChipError` where it is another plan's or another chip's."""
    found = begun(folder)
    if found is None:
        return False
    held = found.chip.model_dump()
    if held != chip:
        raise ChipError(f"{folder} holds measurements of {_called(held)}, this is {_called(chip)}: take another --out")
    if found.plan != plan.model_dump(mode="json", exclude_none=True):
        raise ChipError(f"{folder} was begun with another plan: take another folder, or the plan it was begun with")
    return True


def _begin(folder: Path, plan: Plan, chip: dict[str, str], crossbar: Crossbar) -> None:
    """Makes the folder this plan's and this chip's; what is refused leaves none behind."""
    marked.mark(folder, CHARACTERIZATION)
    limits = crossbar.session.guard.limits.record()
    write_json(
        folder / "provenance.json",
        {
            "chip": chip,
            "address": crossbar.address,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "code": code_version(),
            "limits": {name: str(value) for name, value in asdict(limits).items()},
            "device": described(crossbar),
            "plan": plan.model_dump(mode="json", exclude_none=True),
        },
    )


def described(crossbar: Crossbar) -> dict[str, Any]:
    """What a device says of itself, JSON values only; infinities as text."""
    info = crossbar.info
    return {
        "fabric": asdict(info.fabric),
        "capabilities": int(info.identity.capabilities),
        "parameters": {Parameter(k).name.lower(): v for k, v in info.parameters.items()},
        "converters": {ConverterId(k).name.lower(): asdict(c) for k, c in info.converters.items()},
        "limits": {name: str(value) for name, value in asdict(info.limits.absolute).items()},
    }


def _identity(crossbar: Crossbar) -> dict[str, str]:
    identity = crossbar.info.identity
    return {name: getattr(identity, name) for name in ("vendor", "model", "serial", "firmware")}


def _converters(probe: Probe) -> dict[str, dict[str, float]]:
    """Step and range of every converter, model units; step 0: ideal."""
    found = {}
    for which, converter in probe.crossbar.info.converters.items():
        unit = probe.unit_of(converter)
        low, high, lsb = converter.low / unit, converter.high / unit, probe.lsb(ConverterId(which))
        found[ConverterId(which).name.lower()] = {"lsb": lsb, "low": low, "high": high}
    return found


def _time_origin(plan: Plan, sheet: Datasheet | None) -> float:
    return Drift().origin_s(sheet) if plan.drift is None else plan.drift.origin_s(sheet)


def _attributes(crossbar: Crossbar, probe: Probe, chip: dict[str, str], plan: Plan) -> dict[str, str]:
    low, high = crossbar.g_range_s
    return {
        **chip,
        "address": crossbar.address,
        "code": json.dumps(code_version()),
        "g_min_s": repr(low),
        "g_max_s": repr(high),
        "substrate": probe.topology.substrate,
        "settle_tolerance": repr(probe.settle_tolerance),
        "weight_unit": repr(probe.weight_unit),
        "significance": repr(probe.significance),
        "converters": json.dumps(_converters(probe)),
        "read_v": repr(probe.read_v),
        "state_lsb": repr(probe.lsb(ConverterId.STATE_ADC)),
        "output_lsb": repr(probe.lsb(ConverterId.OUTPUT_ADC)),
        "t0_s": repr(_time_origin(plan, probe.sheet)),
        "nudge_lsb": repr(probe.lsb(ConverterId.NUDGE_DAC)),
        "temperature_k": repr(probe.temperature_k()),
    }
