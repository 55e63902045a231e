"""Opening a rack over VISA: every instrument by its address, every wire recorded."""

from __future__ import annotations

import contextlib
import time

from drivers import flight_log
from drivers.chip_ledger import ChipLedger
from drivers.errors import OutOfRange
from drivers.lease import LEASE_S
from drivers.lock import DeviceLock
from drivers.rack.rig import Rig
from drivers.recording import FlightRecorder, Recorded
from drivers.transport import Transport
from drivers.visa import VisaSession
from firmware_specs.racks import Rack
from firmware_specs.racks.wiring import Instrument


def open_rig(
    rack: Rack,
    library: str = "@py",
    *,
    watchdog_s: float = 2.0,
    lease_s: float = LEASE_S,
    allow_no_watchdog: bool = False,
) -> Rig:
    """Opens all instruments of a bench file and keeps them locked until the rig is closed.

    Args:
        rack: With an address for each instrument.
        library: VISA library as pyvisa names it.
        watchdog_s: See `Rig`.
        lease_s: See `Rig`.
        allow_no_watchdog: Named override: not all sources turn their outputs off by themselves when the host dies.

    Raises:
        OutOfRange: an instrument has no address, or the override is missing. Busy: somebody else has an instrument.
        ProtocolViolation: another instrument answers. LinkError: none does.
    """
    if (alone := rack.unwatched) and not allow_no_watchdog:
        raise OutOfRange(
            f"no watchdog in {', '.join(alone)}: what it drives stays on when this host loses power or is killed",
            device=rack.name,
            todo="Say allow_no_watchdog = true in the bench file if somebody is there, or an interlock is",
        )
    if missing := [name for name, spec in rack.instruments.items() if not spec.address]:
        raise OutOfRange(
            f"{', '.join(missing)} have no address",
            device=rack.name,
            todo="Fill in instruments.NAME.address; `hil emulate --rack` writes a bench file with addresses",
        )

    recorders: dict[str, FlightRecorder] = {}

    def connect(name: str, spec: Instrument, seconds: float) -> Transport:
        wire = Recorded(VisaSession(spec.address, library, deadline=time.monotonic() + seconds))
        recorders[f"visa:{spec.address}"] = wire.recorder
        return wire

    locks = contextlib.ExitStack()
    try:
        for spec in rack.instruments.values():
            lock = DeviceLock(f"visa:{spec.address}")
            locks.callback(lock.release)
        return Rig(rack, connect, locks.close, watchdog_s, lease_s, ChipLedger(chip_of(rack)))
    except BaseException as error:
        flight_log.tell(error, recorders)
        locks.close()
        raise


def chip_of(rack: Rack) -> str:
    """The name by which the pulses of a rack's crossbar are counted."""
    return f"rack {rack.chip or rack.name}"
