"""The bench file: named devices of a laboratory, with address, datasheet, limits and calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from drivers.doors import OPEN_S, is_wire
from drivers.lease import LEASE_S, LONGEST_S
from drivers.port_opening import Line
from firmware_specs.addresses import refuse_handlers
from firmware_specs.datasheet.fabric import UsbIdentity
from firmware_specs.datasheet.section import NonNegative, Positive, Section
from firmware_specs.documents import DocumentError, parse_toml, read_text
from firmware_specs.racks import Rack, load_rack
from firmware_specs.refusals import close, explain
from firmware_specs.registry import known, scheme_of

MOST_OPEN_S = 600.0
End = Literal["trip", "stop", "lost", "failed", "finished"]
"""How a training ends, to those who are told."""


class BenchFileError(ValueError):
    """A bench file that cannot be used; the message names file, key and what was expected."""


class LimitsEntry(Section):
    """Limits the laboratory sets below what the device allows itself; what is left out is not narrowed.

    Attributes:
        max_drive_a: Largest drive or nudge current, amperes.
        max_source_v: Largest voltage of a source node, volts.
        max_read_v: Largest read voltage, volts.
        max_pulse_v: Largest height of a pulse, volts.
        max_pulse_s: Longest pulse, seconds.
        max_pulses_per_cell: Most pulses a cell may ever have.
        max_energy_per_cell_j: Most energy a cell may ever have, joules.
        max_temperature_k: Temperature above which outputs go off, kelvin.
    """

    max_drive_a: Positive | None = None
    max_source_v: Positive | None = None
    max_read_v: Positive | None = None
    max_pulse_v: Positive | None = None
    max_pulse_s: Positive | None = None
    max_pulses_per_cell: Positive | None = None
    max_energy_per_cell_j: Positive | None = None
    max_temperature_k: Positive | None = None


class DeviceEntry(Section):
    """One device.

    Attributes:
        address: `serial:PORT?baud=N`, `visa:RESOURCE`, or one of the others.
        datasheet: Shipped name or TOML file the device must agree with; relative to the bench file.
        serial: Serial number the device must have.
        usb: USB identities, `2E8A:000A`, of boards of this kind: `hil devices --bench FILE` opens their ports.
        limits: Tighter limits.
        calibration: Calibration file; relative to the bench file.
        allow_calibration: Named override: id of a calibration to use although it is expired or of another device.
        watchdog_s: The device turns its outputs off this long after the last sign of life of this process.
        lease_s: The session turns them off this long after the last verb of its owner.
        allow_no_watchdog: Named override for a device that cannot turn its outputs off by itself.
        allow_long_requests: Named override: what cannot be cut may hold up switching off for more than half a second.
        timeout_s: Deadline of a transaction beyond what the device itself needs.
        open_timeout_s: By when it must be open, and by when the first answer must be there after that.
        settle_after_open_s: Wait so long after the opening, and leave unread what came, before anything is asked.
        dtr: Of a serial port: `on`, `off`, or `leave` it alone; a board may start anew when it is raised.
        rts: The same.
        visa_library: `@py` or `@ivi`; the path of another one is given on the command line only.
        rack: With the address `rack:`, the rack itself: instruments, roles, wiring, limits.
    """

    address: str
    datasheet: str | None = None
    serial: str | None = None
    usb: tuple[UsbIdentity, ...] = ()
    limits: LimitsEntry = LimitsEntry()
    calibration: str | None = None
    allow_calibration: str | None = None
    watchdog_s: Positive = 2.0
    lease_s: Annotated[float, Field(gt=0, le=LONGEST_S)] = LEASE_S
    allow_no_watchdog: bool = False
    allow_long_requests: bool = False
    timeout_s: Positive = 10.0
    open_timeout_s: Annotated[float, Field(gt=0, le=MOST_OPEN_S)] = OPEN_S
    settle_after_open_s: Annotated[float, Field(ge=0, le=MOST_OPEN_S)] = 0.0
    dtr: Line = "on"
    rts: Line = "on"
    visa_library: Literal["@py", "@ivi"] = "@py"
    rack: Rack | None = None

    @field_validator("address")
    @classmethod
    def _has_a_scheme(cls, address: str) -> str:
        scheme, found, target = scheme_of(address)
        wire = is_wire(address)
        if (
            not (wire or ":" in scheme or known("counterparts", scheme))
            or not found
            or ((wire or scheme == "emulator") and not target)
        ):
            raise ValueError(
                "an address is serial:PORT?baud=N, visa:RESOURCE, rack:, rack:FILE, emulator:DATASHEET?seed=N or "
                "reference:"
            )
        return refuse_handlers(address)

    @model_validator(mode="after")
    def _a_rack_is_here_or_in_a_file(self) -> Self:
        if (self.rack is not None) != (self.address == "rack:"):
            raise ValueError(
                "address = 'rack:' and a [devices.NAME.rack] table belong together; "
                "a rack in a file of its own has the address rack:FILE"
            )
        return self

    def through(self, visa_library: str | None) -> DeviceEntry:
        """The device through another VISA library, one that a person named; None: as the file says."""
        return self if visa_library is None else self.model_copy(update={"visa_library": visa_library})


class Alarm(Section):
    """Who is told when a training on a device of this bench is over.

    Attributes:
        webhook: `http://` or `https://` address that gets the event as JSON by POST.
        command: Program and its arguments, run without a shell, the event as JSON on its standard input; only from a
            bench file that belongs to this user and that nobody else may write.
        on: Which ends are told: a trip, a stop by a signal, a lost device, another failure, a regular end.
        every_s: After an alarm, none of its kind for so long.
        timeout_s: How long a receiver may take.
    """

    webhook: Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=2000)] | None = None
    command: tuple[str, ...] = ()
    on: tuple[End, ...] = ("trip", "stop", "lost", "failed", "finished")
    every_s: NonNegative = 60.0
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0

    @model_validator(mode="after")
    def _tells_somebody(self) -> Self:
        if self.webhook is None and not self.command:
            raise ValueError("an alarm needs a webhook or a command")
        return self


class BenchFile(Section):
    """The devices of a bench by name.

    Attributes:
        devices: A device by the name that `--device` takes.
        alarm: Who is told when a training on one of them is over.
    """

    devices: dict[str, DeviceEntry] = Field(min_length=1)
    alarm: Alarm | None = None


def load_device(path: Path, name: str) -> DeviceEntry:
    """One device of a bench file; its file names are made absolute.

    Raises:
        BenchFileError: naming file, key and what was expected.
    """
    devices = load(path).devices
    if name not in devices:
        raise BenchFileError(f"{path}: no device {name!r}; {close(name, sorted(devices))}")
    entry = devices[name]
    sheet = entry.datasheet
    return entry.model_copy(
        update={
            "datasheet": str(path.parent / sheet) if sheet is not None and sheet.endswith(".toml") else sheet,
            "calibration": None if entry.calibration is None else str(path.parent / entry.calibration),
        }
    )


def rack_of(entry: DeviceEntry, folder: Path) -> Rack:
    """The rack an entry holds or names.

    Raises:
        RackError: its file is refused.
    """
    if entry.rack is not None:
        return entry.rack
    name = entry.address.removeprefix("rack:")
    path = folder / name
    return load_rack(path if path.exists() else name)


def load(path: Path) -> BenchFile:
    """Reads a bench file.

    Raises:
        BenchFileError: unreadable, not TOML, or refused.
    """
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise BenchFileError(f"{path}: not readable: {error}") from error
    return parse(text, str(path))


def parse(text: str, where: str) -> BenchFile:
    """A bench file from its text; `where` it came from is named in errors, which are those of `load`."""
    try:
        document = parse_toml(text)
    except DocumentError as error:
        raise BenchFileError(f"{where}: {error}") from error
    try:
        return BenchFile.model_validate(document)
    except ValidationError as error:
        raise BenchFileError(f"{where}: " + "; ".join(explain(error, document, BenchFile))) from error
