"""Formats by name: what `hil import NAME FILES` can read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hil.measuring.imports.lines import Rows
from hil.measuring.imports.readings import Readings


@dataclass(frozen=True)
class Options:
    """What a person can say about a table beside its name.

    Attributes:
        mapping: Mapping file of the format `table`.
        kind: What was done with the cells, where the format does not say.
        current: Heading of the column of currents, where there are several.
        voltage: Heading of the column of read voltages.
        read_v: Read voltage, where no column has it.
        interval_s: Time between two readings, where no column has it.
        range_s: Conductances that the ends of a normalized table stand for.
    """

    mapping: Path | None = None
    kind: str | None = None
    current: str | None = None
    voltage: str | None = None
    read_v: float | None = None
    interval_s: float | None = None
    range_s: tuple[float, float] | None = None


Reader = Callable[[Sequence[Path], Options, Rows], Readings]


def formats() -> Mapping[str, Reader]:
    """Readers by the name of their format; the first line of each one's docstring says what it is."""
    from hil.measuring.imports.formats import analyzers, arc, generic, published

    return {
        "table": generic.read,
        "rram-relaxation": published.relaxation,
        "rram-bake": published.bake,
        "rram-series": published.series,
        "crosssim-ramps": published.crosssim_ramps,
        "aihwkit-ramps": published.aihwkit_ramps,
        "pcm-reset": published.pcm_reset,
        "easyexpert": analyzers.easyexpert,
        "keithley-4200": analyzers.keithley_4200,
        "arc-one": arc.arc_one,
        "arc-two": arc.arc_two,
    }
