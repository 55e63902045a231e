from types import SimpleNamespace

import numpy as np
import pytest
import torch

from emulator.chip import Chip
from emulator.compiled.library import library
from emulator.device import Device
from emulator.machine import Machine
from emulator.refused import Refused
from firmware_specs import datasheet, messages
from firmware_specs.chains import dense_chain
from firmware_specs.codes import Opcode


class HandClock:
    """A monotonic clock that moves when told."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def compiled():
    """llvmlite's functions do what they can, which they do on one thread."""
    pytest.importorskip("llvmlite")
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    assert library() is not None
    yield
    torch.set_num_threads(usual)


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def sheet():
    return datasheet.load("mixed-8bit")


@pytest.fixture
def device(clock, sheet):
    return Device(Chip(sheet, seed=3), clock=clock, boot=7)


@pytest.fixture
def machine(device):
    return Machine(device)


@pytest.fixture
def ask(machine):
    """Asks through the door `bench`; an error comes back as its `Refused`."""

    def asking(opcode, payload=b"", door="bench"):
        if hasattr(payload, "pack"):
            payload = payload.pack()
        try:
            return machine.execute(opcode, payload, door)
        except Refused as refused:
            return refused
        finally:
            machine.end_reset()

    return asking


@pytest.fixture
def armed(ask):
    """Array 0 holds a 4-3 block, watchdog 2 s, outputs on."""
    ask(Opcode.CONFIGURE, messages.Configure(0, dense_chain([4, 3])))
    ask(Opcode.WATCHDOG, messages.pack_number(2.0))
    ask(Opcode.ARM)
    return SimpleNamespace(
        region=messages.Region(0, 0, 0, 0, 5, 0, 3),
        drive=np.array([[0, 100, 200, 255], [128, 128, 128, 128]], "u1"),
        nudge=np.array([[255, 0, 128], [128, 128, 128]], "u1"),
    )
