"""What an instrument model can do: ranges, stated accuracy, integration and relay times.

The figures serve the plan before a run, the accuracy budget of a measurement, and the virtual instruments.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Literal

from pydantic import model_validator

from firmware_specs.datasheet.section import NonNegative, Positive, Section


class Range(Section):
    """One range of a source or a meter, and its stated one-year accuracy `gain * |x| + offset`.

    Attributes:
        full: Largest magnitude, volts or amperes.
        gain: Fraction of the reading.
        offset: Volts or amperes.
    """

    full: Positive
    gain: NonNegative
    offset: NonNegative

    def uncertainty(self, value: float) -> float:
        """Stated accuracy of a value in this range, in its own unit."""
        return self.gain * abs(value) + self.offset


class Facts(Section):
    """One instrument model.

    Attributes:
        kind: Which roles it plays.
        identity: `*IDN?` answer; `{serial}` is filled in.
        pattern: What `vendor,model` of an answer must match; empty: see `firmware_specs.racks.identity`.
        channels: Outputs of a source.
        volts: Voltage ranges, smallest first.
        amps: Current ranges, smallest first.
        ohms: Resistance ranges of a meter, smallest first.
        nplc: Shortest and longest integration, power line cycles.
        derating: (power line cycles, fraction of range) by which a reading is less accurate when it integrates for
            fewer than ten times those cycles.
        autozero: Conversions a reading costs.
        relay_s: Time until a changed relay has settled.
        settle_s: Time until a changed set-point has settled.
        bus_s: Time of one message on its bus.
        ends: What its lines end in.
        kelvin: Coldest and hottest set-point of a temperature stage.
        dac_bits: Resolution of a source's set-points; 0 where it is finer than its accuracy.
        pulse: True where the instrument itself times a pulse.
        watch: True where the instrument can turn its outputs off by itself when its host falls silent.
    """

    kind: Literal["smu", "matrix", "meter", "mainframe", "stage"]
    identity: str
    pattern: str = ""
    channels: tuple[str, ...] = ()
    volts: tuple[Range, ...] = ()
    amps: tuple[Range, ...] = ()
    ohms: tuple[Range, ...] = ()
    nplc: tuple[Positive, Positive] = (0.01, 10.0)
    derating: tuple[tuple[Positive, Positive], ...] = ()
    autozero: int = 1
    relay_s: NonNegative = 0.0
    settle_s: NonNegative = 0.0
    bus_s: NonNegative = 2.0e-4
    ends: Literal["\n", "\0"] = "\n"
    kelvin: tuple[Positive, Positive] | None = None
    dac_bits: int = 0
    dac_volts: Range | None = None
    pulse: bool = False
    watch: bool = False

    @model_validator(mode="after")
    def _ascending(self) -> Facts:
        for name in ("volts", "amps", "ohms"):
            full = [r.full for r in getattr(self, name)]
            if full != sorted(full):
                raise ValueError(f"{name}: ranges must ascend, got {full}")
        return self

    def uncertainty(self, used: Range, value: float, nplc: float) -> float:
        """Stated accuracy of a reading, in its own unit: the range's, and what a short integration adds."""
        short = max((share for cycles, share in self.derating if nplc < 10 * cycles), default=0.0)
        return used.uncertainty(value) + short * used.full

    def range_for(self, unit: Literal["volts", "amps", "ohms"], value: float) -> Range:
        """The smallest range that holds a magnitude.

        Raises:
            ValueError: none does.
        """
        ranges = getattr(self, unit)
        for found in ranges:
            if abs(value) <= found.full * (1 + 1e-9):
                return found
        raise ValueError(f"{value:g} is beyond the largest {unit} range, {ranges[-1].full if ranges else 'none'}")


@cache
def shipped() -> dict[str, Facts]:
    """Facts of the shipped models, `instruments.toml`."""
    text = (resources.files("firmware_specs.racks") / "instruments.toml").read_text("utf-8")
    entries = tomllib.loads(text)
    return {model: Facts.model_validate(_with_ranges(_whole(entries, model))) for model in entries}


def _whole(entries: dict[str, dict[str, object]], model: str) -> dict[str, object]:
    """An entry with what it says it has like another."""
    entry = dict(entries[model])
    like = entry.pop("like", None)
    return entry if like is None else _whole(entries, str(like)) | entry


def _with_ranges(entry: dict[str, object]) -> dict[str, object]:
    out = dict(entry)
    for name in ("volts", "amps", "ohms"):
        rows = out.get(name, [])
        assert isinstance(rows, list)  # noqa: S101 - a file of the package
        out[name] = [dict(zip(("full", "gain", "offset"), row, strict=True)) for row in rows]
    if isinstance(dac := out.get("dac_volts"), list):
        out["dac_volts"] = dict(zip(("full", "gain", "offset"), dac, strict=True))
    return out
