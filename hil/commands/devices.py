"""`hil devices`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hil.commands import VisaLibrary, needed, say

if TYPE_CHECKING:
    from drivers.doors import Options
    from hil.counterparts.opening.bench_file import DeviceEntry


def command(
    addresses: Annotated[
        list[str] | None, typer.Argument(help="Further addresses: serial:..., visa:..., bench:FILE#NAME")
    ] = None,
    device: Annotated[str | None, typer.Option(help="One more, or with --bench the name of a device in it.")] = None,
    bench: Annotated[
        Path | None, typer.Option(help="Bench file (TOML): look at its devices, too; with --device NAME at that one.")
    ] = None,
    visa_library: VisaLibrary = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Open the serial ports that nobody named, too, and send them frames.")
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0.05, max=600, metavar="SECONDS", help="How long each one may take to answer.")
    ] = 1.0,
    lan: Annotated[bool, typer.Option("--lan", help="Broadcast for instruments on the network.")] = False,
) -> None:
    """Lists what answers: address, who it is, who owns it.

    Instruments are asked *IDN? and nothing else. A serial port is opened only where it is named here or in the bench
    file, or has a USB identity that the bench file or a datasheet lists. A port in use is never opened.
    """
    from drivers.discovery import discover
    from drivers.doors import is_wire

    wanted = [a for a in addresses or [] if not a.startswith("bench:")]
    named = [a for a in addresses or [] if a.startswith("bench:")] + ([] if device is None else [needed(device, bench)])
    meant = [_meant_by(a, visa_library) for a in named]
    usb = _usb_of_the_shipped()
    if bench is not None:
        from firmware_specs import datasheet
        from hil.counterparts.opening import bench_file

        entries = bench_file.load(bench).devices if device is None else {}
        meant += [e for e in entries.values() if is_wire(e.address)]
        for name in entries:
            entry = bench_file.load_device(bench, name)
            usb += [*entry.usb, *(datasheet.load(entry.datasheet).identity.usb if entry.datasheet else ())]
    options = {entry.address: how(entry, wait, visa_library) for entry in meant}
    found = discover(
        [*wanted, *options],
        known_usb=usb,
        probe=probe,
        lan=lan,
        probe_s=wait,
        visa_library=visa_library or "@py",
        options=options,
    )
    for item in found:
        owner = f" by {item.owner}" if item.owner else ""
        say(f"{item.address}\t{item.state}{owner}\t{item.who}".rstrip())
    if not found:
        say("no serial port, USB or GPIB instrument here; name addresses to look at, or a bench file", err=True)
    if any(item.state == "not opened" for item in found):
        say("not opened: name a port to have it asked, or give --probe for all of them", err=True)


def _meant_by(address: str, visa_library: str | None) -> DeviceEntry:
    from hil.counterparts.opening.meant import meant_by

    return meant_by(address, visa_library).entry


def _usb_of_the_shipped() -> list[str]:
    """USB identities in shipped datasheets, which are sound: their models, a fifth of this command, are not asked."""
    from importlib import resources

    from firmware_specs.documents import parse_toml

    files = [item for item in resources.files("firmware_specs.datasheets").iterdir() if item.name.endswith(".toml")]
    sheets = [parse_toml(file.read_text("utf-8")) for file in sorted(files, key=lambda file: file.name)]
    return [identity for sheet in sheets for identity in sheet["identity"].get("usb", ())]


def how(entry: DeviceEntry, wait_s: float, visa_library: str | None) -> Options:
    """How a device of a bench file is opened to be asked: as the file says, and no longer than it takes."""
    from dataclasses import replace

    from drivers.doors import OPEN_S
    from hil.counterparts.opening.open_device import options_of

    plain = entry.model_copy(update={"datasheet": None}).through(visa_library)
    said = plain.open_timeout_s != OPEN_S or plain.settle_after_open_s > 0
    seconds = max(wait_s, plain.open_timeout_s) if said else wait_s
    return replace(options_of(plain, "bench file"), timeout_s=seconds, open_timeout_s=seconds)
