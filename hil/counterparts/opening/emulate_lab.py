"""Virtual laboratories for `hil emulate --instrument` and `--lab`: served instruments, each at a VISA resource."""

from __future__ import annotations

from pathlib import Path

from emulator.circuits.laboratory import Laboratory
from emulator.instruments.serve import ShelfServer
from firmware_specs.labs import Lab, load_lab, single
from firmware_specs.registry import trust_path


def open_instrument(model: str, dut: str, *, port: int = 0, real_time: bool = False) -> ShelfServer:
    """One instrument with one part at its terminals, ready to be run.

    Args:
        model: A registered model, `keithley-2450`, or one by its place, `module:attribute`, which is trusted too.
        dut: The part, `resistor:1e3`; a class of one's own, `module:Class`, is trusted, since a person typed it.
        port: Where it listens; 0: any free port.
        real_time: Integration and relay times pass in real time.

    Raises:
        ValueError: unknown model, or no such part.
        OSError: the port is not free.
    """
    trust_path(model)
    trust_path(dut.partition("?")[0])
    lab = single(model, dut)
    ports = dict.fromkeys(lab.instruments, port)
    return ShelfServer(Laboratory(lab, real_time=real_time), ports)


def open_lab(path: Path, *, real_time: bool = False) -> ShelfServer:
    """All instruments of a laboratory file, ready to be run.

    Raises:
        LabError: the file is refused. DutError: it names a part that there is none of.
        OSError: no port is free.
    """
    lab: Lab = load_lab(path)
    return ShelfServer(Laboratory(lab, real_time=real_time))
