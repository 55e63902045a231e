"""What the firmware does for every verb: request payload in, reply payload out, `Refused` where not."""

from __future__ import annotations

from collections.abc import Callable

from emulator.device import Device
from emulator.verbs import about, arrays, cells, coinciding, environment, outputs, products, updating
from firmware_specs.codes import Opcode

Verb = Callable[[Device, bytes, str], bytes]

VERBS: dict[Opcode, Verb] = {
    Opcode.IDENTIFY: about.identify,
    Opcode.FABRIC: about.fabric,
    Opcode.CONVERTERS: about.converters,
    Opcode.PARAMETERS: about.parameters,
    Opcode.LIMITS: about.limits,
    Opcode.SET_LIMITS: about.set_limits,
    Opcode.STATUS: about.status,
    Opcode.FAULT_LOG: about.fault_log,
    Opcode.SELF_TEST: about.self_test,
    Opcode.ECHO: about.echo,
    Opcode.CLEAR: outputs.clear,
    Opcode.RESET: outputs.reset,
    Opcode.HEARTBEAT: outputs.heartbeat,
    Opcode.WATCHDOG: outputs.watchdog,
    Opcode.ARM: outputs.arm,
    Opcode.DISARM: outputs.disarm,
    Opcode.CONFIGURE: arrays.configure,
    Opcode.TOPOLOGY: arrays.topology,
    Opcode.SETTLE: arrays.settle,
    Opcode.PRODUCT: products.product,
    Opcode.UPDATE: updating.update,
    Opcode.SNAPSHOT: arrays.snapshot,
    Opcode.RESTORE: arrays.restore,
    Opcode.WRITE_CELLS: cells.write,
    Opcode.READ_CELLS: cells.read,
    Opcode.PULSE: cells.pulse,
    Opcode.MEASURE: cells.measure,
    Opcode.USAGE: cells.usage,
    Opcode.COINCIDE: coinciding.coincide,
    Opcode.TEMPERATURE: environment.temperature,
    Opcode.SET_TEMPERATURE: environment.set_temperature,
    Opcode.CLOCK: environment.clock,
    Opcode.WAIT: environment.wait,
}
"""Verbs of the emulated device; the others answer UNSUPPORTED."""
