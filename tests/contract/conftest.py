"""One chip behind every door: the value door in process, and the byte doors through the whole driver stack."""

import threading

import pytest

from drivers.connect import connect
from drivers.crossbar import Crossbar
from drivers.doors import Options
from drivers.framed import Framed
from drivers.link import FramedLink
from drivers.loopback import Loopback
from drivers.recording import Recorded
from drivers.scpi_dialect import Scpi
from drivers.scpi_link import ScpiLink
from drivers.session import Session
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.scpi import ScpiEndpoint
from emulator.serial_endpoint import SerialEndpoint
from emulator.serve import Board, Doors
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.datasheet.coincidence import Coincidence
from firmware_specs.datasheet.pulses import Pulses
from hil.counterparts.described import datasheet_of
from hil.counterparts.device import DeviceBench
from hil.counterparts.emulator import EmulatorBench
from hil.counterparts.opening.bench import open_bench
from hil.counterparts.product import ProductBench

LOOPBACKS = ("serial loopback", "scpi loopback")
WIRES = {"pty": Doors(pty=True), "socket": Doors(tcp=0), "scpi socket": Doors(scpi=0), "hislip": Doors(hislip=0)}
TIMEOUT_S = 300.0
ALL_DOORS = (*LOOPBACKS, *WIRES)


@pytest.fixture(autouse=True)
def locks_of_this_test(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSBAR_HIL_LOCKS", str(tmp_path / "locks"))


@pytest.fixture(params=ALL_DOORS)
def door(request):
    return request.param


@pytest.fixture
def served():
    """`served(doors, sheet, seed)`: a virtual instrument on real wires, in a thread; outputs are off at its end."""
    running = []

    def serve(doors, sheet="mixed-8bit", seed=0, faults=None):
        board = Board(Device(Chip(sheet_of(sheet), seed)), doors, faults)
        thread = threading.Thread(target=board.run, daemon=True)
        thread.start()
        running.append((board, thread))
        return board

    yield serve
    for board, thread in running:
        board.stop()
        thread.join(30)
        assert not thread.is_alive()


def sheet_of(name):
    """A shipped datasheet, or `pulsed` and `pulsed product`: cells take pulses, by lines, too."""
    if isinstance(name, Datasheet):
        return name
    plain = {"pulsed": "mixed-8bit", "pulsed product": "openmena-8x8-like"}
    if name not in plain:
        return load(name)
    able = {"pulses": Pulses(law="soft_bounds", step=0.01), "coincidence": Coincidence(half_select=0.0)}
    return load(plain[name]).model_copy(update=able)


def dialect_of(door, machine):
    """A dialect over a loopback."""
    if door == "serial loopback":
        return Framed(FramedLink(Recorded(Loopback(SerialEndpoint(machine, door).feed, door)), owner="contract"))
    return Scpi(ScpiLink(Recorded(Loopback(ScpiEndpoint(machine, door).feed, door))))


def open_door(door, served, sheet="mixed-8bit", seed=0, options=None):
    """A Crossbar behind a door, and the emulated device."""
    if door in WIRES:
        board = served(WIRES[door], sheet, seed)
        return connect(board.addresses[0], options), board.device
    machine = Machine(Device(Chip(sheet_of(sheet), seed)))
    asked = {} if options is None else {"limits": options.limits, "watchdog_s": options.watchdog_s}
    return Crossbar(Session(dialect_of(door, machine), **asked)), machine.device


@pytest.fixture
def open_crossbar(door, served):
    """`open_crossbar(sheet, seed)` gives a Crossbar and the emulated device behind it."""
    opened = []

    def make(sheet="mixed-8bit", seed=0, options=None):
        crossbar, device = open_door(door, served, sheet, seed, options)
        opened.append(crossbar)
        return crossbar, device

    yield make
    for crossbar in opened:
        crossbar.close()


IN_PROCESS = ("reference:", "emulator:ideal", "emulator:discrete-board?seed=1", "emulator:mixed-8bit?seed=1")


@pytest.fixture(params=[*IN_PROCESS, *ALL_DOORS])
def counterpart(request, served):
    """Every kind of bench there is, by what a block sees of it; behind a door there is a `discrete-board`."""
    if request.param in IN_PROCESS:
        bench = open_bench(request.param)
    else:
        crossbar, _ = open_door(request.param, served, "discrete-board", seed=1)
        bench = DeviceBench(crossbar, request.param, datasheet_of(crossbar.info, request.param))
    with bench:
        yield bench


@pytest.fixture
def patient():
    """Time for a busy machine; what is asked a second time because an answer is late is answered the same."""
    return Options(timeout_s=TIMEOUT_S, watchdog_s=30.0)


@pytest.fixture
def open_both(open_crossbar, patient):
    """The same chip twice: in process, and behind the door."""

    def make(sheet="mixed-8bit", seed=0):
        crossbar, _ = open_crossbar(sheet, seed, patient)
        chip = Chip(sheet_of(sheet), seed)
        if chip.datasheet.product is not None:  # how many readings a product averages is not on the wire
            return ProductBench(chip, "process"), DeviceBench(crossbar, "door", chip.datasheet)
        device = DeviceBench(crossbar, "door", datasheet_of(crossbar.info, "door"))
        return EmulatorBench(chip, "process"), device

    return make
