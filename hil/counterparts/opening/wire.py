"""The byte door of the composition root: an address as a wire or as a Crossbar, whatever is behind it.

An emulated chip answers here through its firmware, over a loopback, so that tools for real devices (conformance,
calibration, characterization) run on it unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Literal

from drivers.connect import Options, bare_wire, connect
from drivers.crossbar import Crossbar
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
from hil.counterparts.described import datasheet_of
from hil.counterparts.opening.bench import AddressError, entry_of, open_chip, probably
from hil.counterparts.opening.open_device import connected
from hil.counterparts.opening.rehearsal import StandIn

Protocol = Literal["serial", "scpi"]
"""Frames of PROTOCOL.md, or messages of SCPI.md."""


def protocol_of(address: str, wanted: Protocol | None = None) -> Protocol:
    """What is spoken at an address; an emulated chip in process speaks either, frames unless wanted otherwise.

    Raises:
        AddressError: no device with a wire, or one that speaks something else than what is wanted.
    """
    scheme = address.partition(":")[0]
    if scheme == "emulator":
        return wanted or "serial"
    spoken: dict[str, Protocol] = {"serial": "serial", "visa": "scpi"}
    if scheme not in spoken:
        forms = "serial:PORT?baud=N, visa:RESOURCE or emulator:DATASHEET?seed=N"
        raise AddressError(f"{address!r} has no wire of a device: {forms} is needed.{probably(address)}")
    if wanted not in (None, spoken[scheme]):
        raise AddressError(f"{address!r} speaks {spoken[scheme]}, not {wanted}")
    return spoken[scheme]


@contextmanager
def open_wire(address: str, options: Options | None = None, protocol: Protocol | None = None) -> Iterator[Reopenable]:
    """A wire that speaks a protocol, without a session; it can be closed and opened again.

    Args:
        address: `serial:PORT?baud=N`, `visa:RESOURCE` or `emulator:DATASHEET?seed=N`.
        options: How a real device is opened.
        protocol: What an emulated chip is to speak.

    Raises:
        AddressError: an address without a wire. DeviceError: it cannot be opened.
    """
    spoken = protocol_of(address, protocol)
    if address.startswith("emulator:"):
        yield Reopenable(links_of(Machine(Device(open_chip(address))), address, spoken))
        return
    with bare_wire(address, options) as wire:
        yield wire


def open_crossbar(address: str, options: Options | None = None) -> Crossbar:
    """A device with its verbs in SI units, outputs off.

    Args:
        address: `serial:...`, `visa:...`, `emulator:DATASHEET?seed=N`, or `bench:FILE#NAME` for one of these within the
            limits of a bench file.
        options: How it is opened; a bench file says that itself.

    Raises:
        AddressError: `reference:` has no verbs. Busy: somebody owns it. DeviceError: it cannot be opened.
    """
    chosen = options or Options()
    if address.startswith("bench:"):
        path, _, entry = entry_of(address)
        if entry.address.startswith(("serial:", "visa:")):
            return connected(entry, f"bench file {path}")
        address = entry.address
    if address.startswith("emulator:"):
        return crossbar_of_chip(open_chip(address), chosen, address)
    if not address.startswith(("serial:", "visa:")):
        what = "is a rack: drivers.rack measures its cells" if address.startswith("rack:") else "is no device"
        form = "serial:, visa:, emulator: or bench:FILE#NAME of one is needed"
        raise AddressError(f"{address!r} {what}; {form}.{probably(address)}")
    return connect(address, chosen)


def crossbar_of_chip(chip: Chip, options: Options | None = None, address: str = "loopback") -> Crossbar:
    """An emulated chip behind its firmware, with the verbs of any device."""
    chosen = options or Options()
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


def stand_in(address: str, sheet: Datasheet | None = None) -> tuple[StandIn, Options]:
    """What a rehearsal is made on: an emulated device like the one at an address, and the limits it is opened with.

    A device whose datasheet is known, here or in its bench file, gets nothing at all; another one is opened and asked
    what it is, with its outputs off.

    Raises:
        AddressError, DeviceError, DatasheetError: as `open_crossbar`.
    """
    options, target, named = Options(), address, None
    if address.startswith("bench:"):
        path, _, entry = entry_of(address)
        limits = entry.limits.model_dump(exclude_none=True)
        bounds = {f"bench file {path}": limits} if limits else {}
        options, target, named = (
            Options(limits=bounds, allow_long_requests=entry.allow_long_requests),
            entry.address,
            entry.datasheet,
        )
    if sheet is None and named is not None:
        sheet = load(named)
    if target.startswith("emulator:"):
        return StandIn(open_chip(target).datasheet if sheet is None else sheet), options
    if sheet is not None:
        return StandIn(sheet), options
    with open_crossbar(address) as crossbar:
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
