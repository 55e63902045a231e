"""The instrument's dialect: the verbs spelled as SCPI messages (SCPI.md section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

from pydantic import ValidationError

from drivers import scpi_answers as answers
from drivers import scpi_values as scpi
from drivers.answers import line, maybe
from drivers.dialect import HEARTBEAT_S, MAY_BE_ON, SELF_TEST_S
from drivers.errors import ProtocolViolation
from drivers.portions import HEAD, Sizes, counted
from drivers.reply_sizes import SNAPSHOT, ReplySizes
from drivers.scpi_count import ArmedCount
from drivers.scpi_link import ANSWER_S, MOST_REPLY, Part, ScpiLink
from drivers.scpi_settling import product_message, product_reply, settle_message, settle_reply, update_message
from firmware_specs.codes import ConverterId, State
from firmware_specs.messages import (
    CellCodes,
    CellUsage,
    Coincide,
    Converter,
    Currents,
    FabricInfo,
    FaultLog,
    Identity,
    LimitsInfo,
    LimitsRecord,
    Measure,
    Product,
    ProductReply,
    Pulse,
    Pulsed,
    ReadCells,
    Region,
    SelfTest,
    SelfTestItem,
    Settle,
    SettleReply,
    Status,
    Update,
    Updated,
    WriteCells,
    Written,
)
from firmware_specs.printable import printable
from firmware_specs.scpi import block
from firmware_specs.topology import Topology

SWAPPED = b":FORM:BORD SWAP;"
"""What every link is told before blocks pass: a new one is big-endian (SCPI.md 2.4)."""
LINE_REPLY = 512
"""Bytes of a reply of unknown length, as the wait on a slow line is reckoned: a longer one is asked for again."""
MAX_BLOCK = 1 << 25
"""Longest block we send or ask for; instruments take more, a transaction should not."""
NUMBER = 8
REALS = 4
"""How much longer a reply may be here: reals of 8 bytes where the serial protocol has smaller numbers."""


class Scpi:
    """Verbs over a SCPI link.

    Args:
        link: The link; opened by `open`.
        timeout_s: Deadline of a transaction beyond what the device itself needs.
        byte_s: Time one byte takes on the line; 0 where it does not count.
    """

    sizes = Sizes(statistics=32, clipped=8, usage=16, volt=24)

    def __init__(self, link: ScpiLink, timeout_s: float = 5.0, byte_s: float = 0.0) -> None:
        self.address = link.address
        self.link = link
        self.max_request = self.max_reply = 0
        self._timeout_s, self.byte_s = timeout_s, byte_s
        self._replies = ReplySizes()
        self._armed = ArmedCount(lambda: link.armed_verbs(timeout_s))

    @property
    def outputs_on(self) -> None:
        """An instrument does not say with every answer."""
        return

    @property
    def transactions(self) -> int | None:
        """Armed verbs: one message of ours has one."""
        return self._armed.done

    def executed(self, status: Status) -> int | None:
        """Firmware written before there was this count does not say."""
        return self._armed.begin()

    def open(self, timeout_s: float) -> None:
        """Clean link, outputs off, byte order set and read back, longest blocks known."""
        self.link.open(timeout_s)
        self.safe(self._timeout_s)
        self._byte_order()
        longest = scpi.numbers(self._ask(b":SYST:BLOC:MAX?", "SYSTem:BLOCk:MAXimum?")[0], 2, self.address)
        self.max_request, self.max_reply = (min(scpi.whole(most, self.address), MAX_BLOCK) for most in longest)

    def safe(self, timeout_s: float) -> None:
        """Outputs off; OUTPut? and STATus:DEVice? say so."""
        message, what = b":OUTP OFF;:OUTP?;:STAT:DEV?", "switching the outputs off"
        on, said = self._all_there(what, self.link.ask(message, what, timeout_s), 2)
        status = answers.status(said, self.address)
        if maybe(line(on)) != 0.0 or status.state is State.ARMED:
            text = f"after OUTPut OFF the device says: OUTPut {printable(on)}, state {status.state.name}"
            raise ProtocolViolation(text, device=self.address, todo=MAY_BE_ON)

    def identify(self) -> Identity:
        """Who it is."""
        parts = self._ask(b"*IDN?;:SYST:CAP?;:SYST:BOOT?", "*IDN?", count=3)
        return answers.identity(parts, self.address)

    def fabric(self) -> FabricInfo:
        """What can be placed."""
        return answers.fabric(self._ask(b":DEV:FABR?", "DEVice:FABRic?")[0], self.address)

    def converters(self) -> list[Converter]:
        """Its converters."""
        found = answers.converters(self._ask(b":DEV:CONV?", "DEVice:CONVerters?")[0], self.address)
        self._replies.converters = {converter.id: converter for converter in found}
        return found

    def parameters(self) -> dict[int, float]:
        """Its numbers."""
        found = answers.parameters(self._ask(b":DEV:PAR?", "DEVice:PARameters?")[0], self.address)
        self._replies.parameters = found
        return found

    def limits(self) -> LimitsInfo:
        """Absolute and active limits."""
        return answers.both_limits(self._ask(b":SOUR:LIM:ABS?;:SOUR:LIM?", "SOURce:LIMits?", count=2), self.address)

    def set_limits(self, record: LimitsRecord) -> LimitsRecord:
        """Sets the active limits."""
        values = ",".join(scpi.number(value) for value in astuple(record))
        reply = self._ask(f":SOUR:LIM {values};:SOUR:LIM?".encode(), "SOURce:LIMits")
        return answers.limits(reply[0], self.address)

    def status(self) -> Status:
        """State, trip, watchdog, counters."""
        return answers.status(self._ask(b":STAT:DEV?", "STATus:DEVice?")[0], self.address)

    def fault_log(self) -> FaultLog:
        """The newest entries."""
        return scpi.whole_log(lambda n: self._ask(b":SYST:FAUL? %d" % n, "SYSTem:FAULts?")[0], self.address)

    def clear(self) -> None:
        """Leaves a trip."""
        self._ask(b":OUTP:PROT:CLE", "OUTPut:PROTection:CLEar", count=0)

    def self_test(self) -> SelfTest:
        """Lets the device test itself."""
        code = scpi.number_of(self._ask(b"*TST?", "*TST?", SELF_TEST_S)[0], self.address)
        return SelfTest(code == 0, (SelfTestItem(code == 0, code, "*TST?"),))

    def reset(self) -> None:
        """Power-on state."""
        self._ask(b"*RST", "*RST", count=0)
        self.link.watched(0.0)
        self._byte_order()

    def heartbeat(self) -> None:
        """Any message restarts the watchdog; gives up soon, since switching off waits for it."""
        self.link.ask(b"*OPC?", "heartbeat", HEARTBEAT_S)

    def set_watchdog(self, seconds: float) -> float:
        """Sets the watchdog; returns the delay in force."""
        reply = self._ask(f":OUTP:PROT:WDOG {scpi.number(seconds)};WDOG?".encode(), "OUTPut:PROTection:WDOG")
        found_s = scpi.number_of(reply[0], self.address)
        self.link.watched(found_s)
        return found_s

    def arm(self) -> float:
        """Outputs on, read back; returns the watchdog in force."""
        message, what = b":OUTP ON;:OUTP?;:OUTP:PROT:WDOG?", "OUTPut ON"
        on, seconds = self._ask(message, what, count=2)
        if on.strip() != b"1":
            raise ProtocolViolation("the outputs are off after OUTPut ON", device=self.address, last=on)
        return scpi.number_of(seconds, self.address)

    def configure(self, array: int, topology: Topology) -> tuple[tuple[int, int], ...]:
        """Places a block; returns rows and columns of each coupling."""
        text = topology.model_dump_json(exclude_none=True).encode()
        self._ask(b":ARR:TOP %d,%s" % (array, block(text)), f"ARRay:TOPology {array}", count=0)
        self._replies.topologies[array] = topology
        return tuple(topology.cells(coupling) for coupling in topology.couplings)

    def topology(self, array: int) -> Topology:
        """What an array has."""
        text = self._ask(b":ARR:TOP? %d" % array, f"ARRay:TOPology? {array}")[0]
        try:
            return Topology.model_validate_json(text)
        except ValidationError as error:
            raise ProtocolViolation("ARRay:TOPology? does not parse", device=self.address, last=text) from error

    def write_cells(self, request: WriteCells, seconds: float) -> Written:
        """One programming transaction."""
        parts = self._armed.run(lambda: self._act(scpi.write_message(request), "ARRay:CELLs:WRITe", 2 * seconds))
        if parts is None:
            if request.verify:
                raise ProtocolViolation(
                    "cells were written and verified, but how well is not known: the reply was lost",
                    device=self.address,
                    todo="Read them back, or start again",
                )
            cells = sum(patch.codes.size for patch in request.patches)
            return Written(cells, cells, 0)
        return answers.written(parts[0], self.address)

    def read_cells(self, request: ReadCells, seconds: float) -> CellCodes:
        """Conductance codes of a region."""
        region, size = request.region, self._replies.read_cells(request)
        kind = self._replies.cell_width(request.reads)
        message = f":ARR:CELL:READ? {scpi.region(region)},{request.reads}".encode()
        data = self._use(message, "ARRay:CELLs:READ?", 2 * seconds, size=size)[0]
        return CellCodes(scpi.array(data, f"u{kind}", region.rows, region.columns, device=self.address))

    def pulse(self, request: Pulse, seconds: float) -> Pulsed:
        """Programming pulses."""
        parts = self._armed.run(lambda: self._act(scpi.pulse_message(request), "ARRay:CELLs:PULSe", 2 * seconds))
        if parts is None:
            return Pulsed(request.pulses, max(int(self.usage(p).pulses.max()) for p in counted(self, request.region)))
        return answers.pulsed(parts[0], self.address)

    def coincide(self, request: Coincide, seconds: float) -> Pulsed:
        """Pulses on rows and columns."""
        parts = self._armed.run(lambda: self._act(scpi.coincide_message(request), "ARRay:CELLs:COINcide", 2 * seconds))
        if parts is not None:
            return answers.pulsed(parts[0], self.address)
        had = [self.usage(part) for train in request.trains for part in counted(self, train.region)]
        return Pulsed(request.pulses, max(int(used.pulses.max()) for used in had))

    def measure(self, request: Measure, seconds: float) -> Currents:
        """Cell currents."""
        volts = ",".join(scpi.number(float(v)) for v in request.volts)
        message = f":ARR:CELL:MEAS? {scpi.region(request.region)},{request.reads},{volts}".encode()
        size = self._replies.measure(request)
        data = self._use(message, "ARRay:CELLs:MEASure?", 2 * seconds, size=size)[0]
        count = len(request.volts) * request.reads * request.region.cells
        return Currents(scpi.finite(scpi.array(data, "f8", count, device=self.address), "currents", self.address))

    def usage(self, region: Region) -> CellUsage:
        """Pulses and joules of a region."""
        message = f":ARR:CELL:USAG? {scpi.region(region)}".encode()
        data = self._ask(message, "ARRay:CELLs:USAGe?", size=self._replies.usage(region))[0]
        values = scpi.array(data, "f8", 2 * region.cells, device=self.address).reshape(2, region.rows, region.columns)
        pulses = scpi.counts(values[0], "pulses", self.address)
        return CellUsage(pulses, scpi.finite(values[1], "energies", self.address))

    def settle(self, requests: Sequence[Settle], seconds: Sequence[float]) -> list[SettleReply]:
        """Settles, one after the other."""
        return [self._settle(request, each) for request, each in zip(requests, seconds, strict=True)]

    def product(self, requests: Sequence[Product], seconds: Sequence[float]) -> list[ProductReply]:
        """Products, one after the other."""
        return [self._product(request, each) for request, each in zip(requests, seconds, strict=True)]

    def update(self, request: Update, seconds: float) -> Updated:
        """Cells move by the contrast of phases; of a reply that is lost for good the counts are 0."""
        parts = self._armed.run(lambda: self._act(update_message(request), "ARRay:UPDate", 2 * seconds))
        return Updated(0, 0, 0, 0) if parts is None else answers.updated(parts[0], self.address)

    def temperature(self) -> float:
        """Kelvin."""
        return scpi.number_of(self._ask(b":SYST:TEMP?", "SYSTem:TEMPerature?", size=NUMBER)[0], self.address)

    def set_temperature(self, kelvin: float) -> float:
        """Sets the temperature; returns what is set."""
        reply = self._ask(f":SYST:TEMP {scpi.number(kelvin)};TEMP?".encode(), "SYSTem:TEMPerature")
        return scpi.number_of(reply[0], self.address)

    def clock(self) -> float:
        """Seconds on an emulator's clock."""
        return scpi.number_of(self._ask(b":SYST:CLOC?", "SYSTem:CLOCk?", size=NUMBER)[0], self.address)

    def wait(self, seconds: float) -> float:
        """Moves an emulator's clock."""
        parts = self._act(f":SYST:WAIT? {scpi.number(seconds)}".encode(), "SYSTem:WAIT", 0.0)
        return self.clock() if parts is None else scpi.number_of(parts[0], self.address)

    def snapshot(self) -> bytes:
        """Whole state of an emulator."""
        return self._ask(b":SYST:SNAP?", "SYSTem:SNAPshot?", size=SNAPSHOT)[0]

    def restore(self, snapshot: bytes) -> None:
        """Puts an emulator back."""
        self._ask(b":SYST:SNAP " + block(snapshot), "SYSTem:SNAPshot", count=0)

    def close(self) -> None:
        """Closes the wire."""
        self.link.close()

    def _settle(self, request: Settle, seconds: float) -> SettleReply:
        size = self._replies.settle(request)
        parts = self._use(settle_message(request), "ARRay:SETTle?", 2 * seconds, 2, size)
        return settle_reply(request, self._replies.topologies[request.array], parts, self.address)

    def _product(self, request: Product, seconds: float) -> ProductReply:
        size, adc = self._replies.product(request), self._replies.converters[ConverterId.PRODUCT_ADC]
        part = self._use(product_message(request), "ARRay:PRODuct?", 2 * seconds, size=size)[0]
        return product_reply(request, adc.max_code, part, self.address)

    def _byte_order(self) -> None:
        if self._text(SWAPPED + b":FORM:BORD?", "FORMat:BORDer", self._timeout_s) != "SWAP":
            raise ProtocolViolation("the byte order was not taken", device=self.address)
        self.link.told = SWAPPED

    def _ask(
        self, message: bytes, what: str, seconds: float = 0.0, count: int = 1, size: int = 0, *, once: bool = False
    ) -> list[Part]:
        """A message with `count` queries in it (0: a command).

        Where the answer is data, of about `size` bytes by PROTOCOL.md, it has to show that it belongs to its question.
        """
        most, tied = MOST_REPLY + REALS * size, size > 0
        seconds += self._line_s(message, size)
        parts = self.link.ask(message, what, self._timeout_s + seconds, ANSWER_S + seconds, most, once=once, tied=tied)
        return self._all_there(what, parts, count)

    def _use(self, message: bytes, what: str, seconds: float, count: int = 1, size: int = 0) -> list[Part]:
        """A message with an armed verb that draws noise."""
        return self._armed.run(lambda: self._ask(message, what, seconds, count, size, once=True))

    def _all_there(self, what: str, parts: list[Part], count: int) -> list[Part]:
        if len(parts) != count:
            text = f"{what}: {count} answers were expected, {len(parts)} came"
            raise ProtocolViolation(text, device=self.address, last=b";".join(parts))
        return parts

    def _act(self, message: bytes, what: str, seconds: float) -> list[Part] | None:
        seconds += self._line_s(message, 0)
        parts = self.link.act(message, what, self._timeout_s + seconds, ANSWER_S + seconds)
        return None if parts is None else self._all_there(what, parts, 1)

    def _line_s(self, message: bytes, size: int) -> float:
        """Twice the time on the line."""
        known = size if size < SNAPSHOT else 0
        return 2.0 * self.byte_s * (HEAD + len(message) + (REALS * known or LINE_REPLY)) if self.byte_s else 0.0

    def _text(self, message: bytes, what: str, timeout_s: float) -> str:
        return self._all_there(what, self.link.ask(message, what, timeout_s), 1)[0].decode(errors="replace").strip()
