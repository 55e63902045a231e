"""One chip behind every door: the value door in process, and the byte doors through the whole driver stack."""

import pytest

from drivers.crossbar import Crossbar
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
from firmware_specs.datasheet import load
from hil.backends.described import datasheet_of
from hil.backends.device import DeviceBench
from hil.backends.emulator import EmulatorBench

BYTE_DOORS = ("serial loopback", "scpi loopback")


def make_machine(sheet, seed):
    return Machine(Device(Chip(load(sheet), seed)))


def open_dialect(door, machine):
    if door == "serial loopback":
        return Framed(FramedLink(Recorded(Loopback(SerialEndpoint(machine, door).feed, door)), owner="contract"))
    return Scpi(ScpiLink(Recorded(Loopback(ScpiEndpoint(machine, door).feed, door))))


@pytest.fixture(params=BYTE_DOORS)
def door(request):
    return request.param


@pytest.fixture
def open_crossbar(door):
    """`open_crossbar(sheet, seed)` gives a Crossbar and the emulated device behind it."""
    opened = []

    def make(sheet="mixed-8bit", seed=0, **options):
        machine = make_machine(sheet, seed)
        crossbar = Crossbar(Session(open_dialect(door, machine), **options))
        opened.append(crossbar)
        return crossbar, machine.device

    yield make
    for crossbar in opened:
        crossbar.close()


@pytest.fixture
def open_both(open_crossbar):
    """The same chip twice: in process, and behind the door."""

    def make(sheet="mixed-8bit", seed=0):
        crossbar, _ = open_crossbar(sheet, seed)
        device = DeviceBench(crossbar, "door", datasheet_of(crossbar.info, "door"))
        return EmulatorBench(Chip(load(sheet), seed), "process"), device

    return make
