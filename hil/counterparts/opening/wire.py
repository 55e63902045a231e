"""The byte door of the composition root: an address as a wire or as a Crossbar, whatever is behind it.

An emulated chip answers here through its firmware, over a loopback, so that tools for real devices (conformance,
calibration, characterization) run on it unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Literal

from drivers.connect import bare_wire, connect
from drivers.crossbar import Crossbar
from drivers.doors import FRAMES, SCPI, Address, Options, is_wire
from drivers.framed import Framed
from drivers.link import FramedLink
from drivers.loopback import Loopback
from drivers.reopenable import Reopenable
from drivers.session import Session
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.scpi import ScpiEndpoint
from emulator.serial_endpoint import SerialEndpoint
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.refusals import close
from firmware_specs.registry import names
from hil.counterparts.described import datasheet_of
from hil.counterparts.opening.address import AddressError, probably
from hil.counterparts.opening.bench import open_chip
from hil.counterparts.opening.meant import entry_of, meant_by
from hil.counterparts.opening.open_device import connected, options_of
from hil.counterparts.opening.rehearsal import StandIn

Protocol = Literal["serial", "scpi"]
"""Frames of PROTOCOL.md, or messages of SCPI.md."""
IN_PROCESS_WATCHDOG_S = 10.0
"""An emulated chip in this process has no outputs to turn off; a busy machine may stand still for seconds."""


def protocol_of(address: str, wanted: Protocol | None = None) -> Protocol:
    """What is spoken at an address; an emulated chip in process speaks either, frames unless wanted otherwise.

    Raises:
        AddressError: no device with a wire, or one that speaks something else than what is wanted.
    """
    scheme = address.partition(":")[0]
    if scheme == "emulator":
        return wanted or "serial"
    if scheme == "bench":
        return protocol_of(entry_of(address)[2].address, wanted)
    if not is_wire(address):
        forms = "serial:PORT?baud=N, visa:RESOURCE, emulator:DATASHEET?seed=N or bench:FILE#NAME of one"
        near = close(scheme, names("transports"))
        meant = f" {near[0].upper()}{near[1:]}" if near.startswith("did") else probably(address)
        raise AddressError(f"{address!r} has no wire of a device: {forms} is needed.{meant}")
    dialect = Address.parse(address).dialect
    spoken: dict[str, Protocol] = {FRAMES: "serial", SCPI: "scpi"}
    if dialect not in spoken:
        raise AddressError(f"{address!r} speaks {dialect}; what is checked here are frames and SCPI messages")
    if wanted not in (None, spoken[dialect]):
        raise AddressError(f"{address!r} speaks {spoken[dialect]}, not {wanted}")
    return spoken[dialect]


@contextmanager
def open_wire(address: str, protocol: Protocol | None = None, visa_library: str | None = None) -> Iterator[Reopenable]:
    """A wire that speaks a protocol, without a session; it can be closed and opened again.

    Where a bench file says which device is meant, that is seen first, over a session that is closed again.

    Args:
        address: `serial:PORT?baud=N`, `visa:RESOURCE`, `emulator:DATASHEET?seed=N`, or `bench:FILE#NAME` of one.
        protocol: What an emulated chip is to speak.
        visa_library: In place of what a bench file says.

    Raises:
        AddressError: an address without a wire. DeviceError: it cannot be opened.
    """
    spoken, meant = protocol_of(address, protocol), meant_by(address, visa_library)
    entry = meant.entry
    if entry.address.startswith("emulator:"):
        yield Reopenable(links_of(Machine(Device(open_chip(entry.address))), address, spoken))
        return
    options = options_of(entry, meant.source)
    if entry.serial is not None or entry.datasheet is not None:
        connect(entry.address, options).close()
    with bare_wire(entry.address, options) as wire:
        yield wire


def open_crossbar(address: str, visa_library: str | None = None, *, clear_trip: bool = False) -> Crossbar:
    """A device with its verbs in SI units, outputs off.

    Args:
        address: `serial:...`, `visa:...`, `emulator:DATASHEET?seed=N`, or `bench:FILE#NAME` for one of these within the
            limits of a bench file.
        visa_library: In place of what a bench file says.
        clear_trip: Named override: a person has looked at a device that tripped.

    Raises:
        AddressError: `reference:` has no verbs. Busy: somebody owns it. DeviceError: it cannot be opened.
    """
    meant = meant_by(address, visa_library)
    entry = meant.entry
    if entry.address.startswith("emulator:"):
        return crossbar_of_chip(open_chip(entry.address), address=entry.address)
    if not is_wire(entry.address):
        address = entry.address
        what = "is a rack: drivers.rack measures its cells" if address.startswith("rack:") else "is no device"
        form = "serial:, visa:, emulator: or bench:FILE#NAME of one is needed"
        raise AddressError(f"{address!r} {what}; {form}.{probably(address)}")
    return connected(entry, meant.source, clear_trip=clear_trip)


def crossbar_of_chip(chip: Chip, options: Options | None = None, address: str = "loopback") -> Crossbar:
    """An emulated chip behind its firmware, with the verbs of any device."""
    chosen = options or Options(watchdog_s=IN_PROCESS_WATCHDOG_S)
    return crossbar_of(Machine(Device(chip)), chosen, address)


def crossbar_of(machine: Machine, options: Options, address: str) -> Crossbar:
    """An emulated device in process, with the verbs of any device."""
    dialect = Framed(FramedLink(links_of(machine, address, "serial")(), owner="in process"), options.timeout_s, 0.0)
    return Crossbar(
        Session(
            dialect,
            limits=options.limits,
            watchdog_s=options.watchdog_s,
            lease_s=options.lease_s,
            allow_long_requests=options.allow_long_requests,
        )
    )


def stand_in(address: str, sheet: Datasheet | None = None, visa_library: str | None = None) -> tuple[StandIn, Options]:
    """What a rehearsal is made on: an emulated device like the one at an address, and the limits it is opened with.

    A device whose datasheet is known, here or in its bench file, gets nothing at all; another one is opened and asked
    what it is, with its outputs off.

    Raises:
        AddressError, DeviceError, DatasheetError: as `open_crossbar`.
    """
    meant = meant_by(address, visa_library)
    entry = meant.entry
    options = options_of(entry, meant.source)
    # it is no device of this name, and lives and stands still with this process
    options = replace(options, expected=Options().expected, watchdog_s=max(options.watchdog_s, IN_PROCESS_WATCHDOG_S))
    if sheet is None and entry.datasheet is not None:
        sheet = load(entry.datasheet)
    if sheet is None and entry.address.startswith("emulator:"):
        sheet = open_chip(entry.address).datasheet
    if sheet is not None:
        return StandIn(sheet), options
    with open_crossbar(address, visa_library) as crossbar:
        info = crossbar.info
    return StandIn(datasheet_of(info, address), info), options


def links_of(machine: Machine, address: str, protocol: Protocol) -> Callable[[], Loopback]:
    """Opens links to an emulated device in process, as its sockets do: SCPI as many as wanted, of frames one."""
    numbers = count(1)

    def scpi() -> Loopback:
        endpoint = ScpiEndpoint(machine, f"loopback-{next(numbers)}")
        return Loopback(endpoint.feed, address, endpoint.closed)

    endpoint = SerialEndpoint(machine, "loopback")
    return scpi if protocol == "scpi" else lambda: Loopback(endpoint.feed, address, endpoint.closed)
