"""A laboratory file: what stands on the table, under which VISA name, and what is wired between."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from firmware_specs.datasheet.section import Positive, Section
from firmware_specs.documents import parse_toml, read_text
from firmware_specs.racks.model import facts
from firmware_specs.racks.wiring import Instrument
from firmware_specs.refusals import explain

GND = "gnd"
"""Node that every instrument's LO is at."""


class PartSpec(Section):
    """One part of the circuit.

    Attributes:
        dut: What it is: `resistor:1e3`, `diode`, `cell:reram`, `module:Class`.
        between: The two nodes it is between; `gnd` is every instrument's LO.
    """

    dut: str
    between: tuple[str, str]


class Lab(Section):
    """Instruments and a circuit.

    Attributes:
        instruments: By name; `address` is the VISA name they answer to.
        wires: Terminal (`smu.1`, `sourcemeter.a`, `meter.hi`) -> node.
        parts: What is between the nodes.
        relays: Channel of a switch (`matrix.1A01`) -> the two nodes it joins.
        line_frequency_hz: Of the mains.
        contact_ohm: Resistance of a closed relay.
        seed: Which specimens of the instruments, whose errors are drawn from it.
        real_time: Integration and relays take their time in real time, too.
    """

    instruments: dict[str, Instrument]
    wires: dict[str, str] = Field(default_factory=dict)
    parts: tuple[PartSpec, ...] = ()
    relays: dict[str, tuple[str, str]] = Field(default_factory=dict)
    line_frequency_hz: Literal[50, 60] = 50
    contact_ohm: Positive = 0.1
    seed: int = 0
    real_time: bool = False

    @property
    def addresses(self) -> dict[str, str]:
        """VISA name -> instrument; one that names no address is `TCPIP0::NAME::inst0::INSTR`."""
        return {self.address(name): name for name in self.instruments}

    def address(self, name: str) -> str:
        """VISA name of an instrument."""
        return self.instruments[name].address or f"TCPIP0::{name}::inst0::INSTR"

    @model_validator(mode="after")
    def _fits(self) -> Lab:
        for kind, names in (("wires", self.wires), ("relays", self.relays)):
            for name in names:
                box = name.partition(".")[0]
                if box not in self.instruments:
                    raise ValueError(f"{kind}.{name}: no instrument {box!r}; there are {', '.join(self.instruments)}")
        if len(self.addresses) < len(self.instruments):
            raise ValueError("instruments: two of them have the same address")
        return self


class LabError(ValueError):
    """A laboratory file that cannot be used; the message names file, key and what was expected."""


def load_lab(path: str | Path) -> Lab:
    """Reads a laboratory file.

    Raises:
        LabError: unreadable, or content that is refused.
    """
    try:
        document = parse_toml(read_text(Path(path)))
    except (OSError, ValueError) as error:
        raise LabError(f"{path}: {error}") from error
    try:
        return Lab.model_validate(document)
    except ValidationError as error:
        raise LabError(f"{path}: " + "; ".join(explain(error, document, Lab))) from error


def single(model: str, dut: str, address: str = "") -> Lab:
    """One instrument with one part between its first terminal and `gnd`.

    Raises:
        ValueError: unknown model.
    """
    name = "instrument"
    found = facts(model)
    terminal = f"{name}.{found.channels[0] if found.channels else 'hi'}"
    return Lab(
        instruments={name: Instrument(model=model, address=address)},
        wires={terminal: "dut"},
        parts=(PartSpec(dut=dut, between=("dut", GND)),),
    )
