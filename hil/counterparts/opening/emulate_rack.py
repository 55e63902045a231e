"""Virtual racks for `hil emulate --rack`: a rack file becomes served instruments and a bench file that names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w

from emulator.rack.rack import VirtualRack
from emulator.rack.serve import RackServer
from firmware_specs.racks import load_rack
from hil.outputs import write_signed

DEVICE = "rack"


def open_server(name: str, *, real_time: bool = False, log_commands: bool = False) -> RackServer:
    """Instruments that are ready to be run.

    Args:
        name: Shipped rack or TOML file; its `dut` section says what the crossbar is made of.
        real_time: Integration and relay times pass in real time.
        log_commands: Keep command lines in the log.

    Raises:
        RackError: the rack is refused.
        OSError: no port is free.
    """
    return RackServer(VirtualRack(load_rack(name), real_time=real_time, log_commands=log_commands))


def bench_file(server: RackServer) -> str:
    """A bench file with the rack as device `rack`, ready for `hil train EXPERIMENT --bench FILE --device rack`."""
    entry: dict[str, Any] = {
        "address": "rack:",
        "allow_no_watchdog": True,
        "rack": server.bench_rack().model_dump(mode="json", exclude_none=True),
    }
    return tomli_w.dumps({"devices": {DEVICE: entry}})


def write_bench_file(server: RackServer, path: Path) -> None:
    """Writes `bench_file`, the whole file at once."""
    write_signed(path, bench_file(server))
