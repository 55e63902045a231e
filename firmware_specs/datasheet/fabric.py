"""The fabric: how many arrays there are, what fits on one, and the limits that protect it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from firmware_specs.datasheet.section import Positive, Section
from firmware_specs.topology import Size, Substrate

UsbIdentity = Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}$")]
"""Vendor and product of a USB plug, `2E8A:000A`."""


class Identity(Section):
    """Who made it and what it is called.

    Attributes:
        vendor: Who made it.
        model: What it is called; with vendor and serial number it names a device.
        description: One sentence, shown in lists.
        source: Where the numbers are from.
        usb: Vendor and product, `2E8A:000A`, of boards that are nothing else: `hil devices` opens their ports.
    """

    vendor: str
    model: str
    description: str = ""
    source: str = ""
    usb: tuple[UsbIdentity, ...] = ()


class Fabric(Section):
    """What can be placed.

    Attributes:
        substrate: `hopfield` (neuron circuits with rails) or `resistive` (conductances, diodes, sources).
        arrays: Number of arrays; each holds one energy block, on a product device one tile of a coupling.
        max_layers: Layers one array can hold.
        max_units: Neuron circuits a layer.
        max_rows: Rows of one coupling's crossbar, bias line included.
        max_columns: Columns of one coupling's crossbar.
        layers: Fixed layer sizes, for a chip whose layers are wired; replaces `max_layers` and `max_units`.
        couplings: Coupling kinds the array has natively.
        pooling: True where 2x2 max-pooling inside the energy exists.
    """

    substrate: Substrate = "hopfield"
    arrays: Annotated[int, Field(gt=0, lt=2**16)] = 1
    max_layers: Annotated[int, Field(gt=0, lt=2**7)] = 2
    max_units: Size = 256
    max_rows: Size = 257
    max_columns: Size = 256
    layers: Annotated[tuple[Size, ...], Field(max_length=127)] = ()
    couplings: Annotated[tuple[Literal["dense", "conv"], ...], Field(min_length=1)] = ("dense",)
    pooling: bool = False

    def cut(self, rows: int, columns: int) -> tuple[int, int]:
        """Crossbars along the rows and along the columns of a matrix too large for one."""
        return -(-rows // self.max_rows), -(-columns // self.max_columns)

    @model_validator(mode="after")
    def _layers(self) -> Fabric:
        if len(self.layers) == 1:
            raise ValueError("layers: a fixed topology has at least two layers")
        return self


class Limits(Section):
    """Absolute limits; nothing above them may reach the wire.

    Attributes:
        max_drive_a: Largest current into any unit, drive or nudge.
        max_source_v: Largest voltage of any source node of a resistive network.
        max_read_v: Largest voltage across a cell while reading.
        max_pulse_v: Largest programming pulse.
        max_pulse_s: Longest programming pulse.
        max_pulses_per_cell: Lifetime budget of programming pulses of one cell.
        max_temperature_k: Hottest chip temperature at which outputs may be on.
        watchdog_s: Outputs go off after this long without a heartbeat.
    """

    max_drive_a: Positive
    max_source_v: Positive = 10.0
    max_read_v: Positive = 0.2
    max_pulse_v: Positive = 3.0
    max_pulse_s: Positive = 1e-3
    max_pulses_per_cell: Annotated[int, Field(gt=0, lt=2**63)] = 1_000_000
    max_temperature_k: Positive = 358.0
    watchdog_s: Positive = 2.0
