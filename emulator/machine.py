"""The firmware: message in, message out, in the order of checks of PROTOCOL.md section 7."""

from __future__ import annotations

from emulator.device import Device
from emulator.refused import Refused
from emulator.verbs import VERBS
from firmware_specs.codes import RULES, WITHOUT_PAYLOAD, DeviceFlag, ErrorCode, Opcode, Rule, State, Trip
from firmware_specs.messages import MalformedError

CHANGING = frozenset({
    Opcode.SET_LIMITS, Opcode.CLEAR, Opcode.SELF_TEST, Opcode.RESET, Opcode.WATCHDOG, Opcode.ARM, Opcode.CONFIGURE,
    Opcode.SET_TEMPERATURE, Opcode.WAIT, Opcode.RESTORE,
})  # fmt: skip
"""Verbs that change something and are not marked *armed*; closed to links other than the owner (6.7)."""

STATE_FLAGS = {State.SAFE: 0, State.ARMED: int(DeviceFlag.OUTPUTS_ON), State.TRIPPED: int(DeviceFlag.TRIPPED)}
FAULTS = int(DeviceFlag.FAULTS)


class Machine:
    """Executes requests that come through any door, one at a time.

    Args:
        device: What they work on.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        able = device.capabilities
        self._able = {int(o): (o, RULES[o], verb) for o, verb in VERBS.items() if not RULES[o].capability & ~able}

    @property
    def flags(self) -> int:
        """State bits (`DeviceFlag`) of a frame that is sent now (2.5)."""
        device = self.device
        device.poll()
        return device.faults_unseen * FAULTS | STATE_FLAGS[device.outputs.state]

    def end_reset(self) -> None:
        """What RESET does behind its reply; a door calls it when that is out."""
        if self.device.resetting:
            self.device.restart()

    def execute(self, opcode: int, payload: bytes, door: str) -> bytes:
        """One transaction.

        Raises:
            Refused: whatever the device answers ERROR to.
        """
        device = self.device
        device.poll()
        device.transactions += 1
        try:
            reply = self._checked(opcode, payload, door)
        except MalformedError as error:
            device.journal.note("refused", f"{_name(opcode)}: {error}", door)
            raise Refused(ErrorCode.MALFORMED, str(error), error.offset) from error
        except Refused as refused:
            device.journal.note("refused", f"{_name(opcode)}: {refused}", door)
            raise
        except Exception as error:  # the firmware's last line: a bug is an answer, and outputs go off
            device.trip(Trip.HARDWARE, f"{_name(opcode)}: internal error {error!r}")
            device.fault(ErrorCode.INTERNAL, f"{_name(opcode)}: {error!r}")
            raise Refused(ErrorCode.INTERNAL, f"firmware error: {error!r}") from error
        finally:
            device.outputs.worked(door)
        device.check_reply(len(reply))
        rule = self._able[opcode][1]
        device.armed_verbs += rule.armed
        device.deeds += not rule.idempotent
        return reply

    def _checked(self, opcode: int, payload: bytes, door: str) -> bytes:
        device = self.device
        if device.busy_ms:
            wait_ms, device.busy_ms = device.busy_ms, 0
            raise Refused(ErrorCode.BUSY, "busy, nothing was done: ask again", wait_ms)
        if len(payload) > (most := device.max_request):
            raise Refused(ErrorCode.TOO_LARGE, f"request of {len(payload)} bytes, at most {most}", most)
        if opcode not in self._able:
            raise _unknown(opcode)
        verb, rule, run = self._able[opcode]
        self._check_state(verb, rule, door)
        if payload and verb in WITHOUT_PAYLOAD:
            raise MalformedError(0, f"{verb.name} has no payload, {len(payload)} bytes came")
        return run(device, payload, door)

    def _check_state(self, verb: Opcode, rule: Rule, door: str) -> None:
        outputs = self.device.outputs
        if rule.armed and outputs.state is State.SAFE:
            raise Refused(ErrorCode.NOT_ARMED, f"{verb.name}: outputs are off, ARM first")
        if rule.armed and outputs.state is State.TRIPPED:
            cause = Trip(outputs.trip_cause)
            raise Refused(ErrorCode.TRIPPED, f"{verb.name}: tripped ({cause.name}), CLEAR and ARM first", cause)
        if outputs.owner not in ("", door) and (rule.armed or verb in CHANGING):
            raise Refused(ErrorCode.BUSY, f"{verb.name}: owned by {outputs.owner}", 0)


def _unknown(opcode: int) -> Refused:
    if opcode not in RULES:
        return Refused(ErrorCode.UNKNOWN_OPCODE, f"opcode 0x{opcode:02x} does not exist", opcode)
    bit = RULES[Opcode(opcode)].capability.bit_length() - 1
    return Refused(ErrorCode.UNSUPPORTED, f"{Opcode(opcode).name}: this device cannot", bit)


def _name(opcode: int) -> str:
    return Opcode(opcode).name if opcode in RULES else f"0x{opcode:02x}"
