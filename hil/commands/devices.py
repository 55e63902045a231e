"""`hil devices`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.commands import VisaLibrary, needed, say


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
    lan: Annotated[bool, typer.Option("--lan", help="Broadcast for instruments on the network.")] = False,
) -> None:
    """Lists what answers: address, who it is, who owns it.

    Instruments are asked *IDN? and nothing else. A serial port is opened only where it is named here or in the bench
    file, or has a USB identity that the bench file or a datasheet lists. A port in use is never opened.
    """
    from drivers.discovery import discover
    from firmware_specs import datasheet
    from hil.counterparts.opening import bench_file
    from hil.counterparts.opening.bench import meant_by

    wanted = [meant_by(a, visa_library).entry.address if a.startswith("bench:") else a for a in addresses or []]
    if device is not None:
        wanted.append(meant_by(needed(device, bench), visa_library).entry.address)
    usb = [identity for name in datasheet.shipped() for identity in datasheet.load(name).identity.usb]
    if bench is not None:
        entries = bench_file.load(bench).devices if device is None else {}
        wanted += [e.address for e in entries.values() if e.address.partition(":")[0] in ("serial", "visa")]
        for name in entries:
            entry = bench_file.load_device(bench, name)
            usb += [*entry.usb, *(datasheet.load(entry.datasheet).identity.usb if entry.datasheet else ())]
    found = discover(wanted, known_usb=usb, probe=probe, lan=lan, visa_library=visa_library or "@py")
    for item in found:
        owner = f" by {item.owner}" if item.owner else ""
        say(f"{item.address}\t{item.state}{owner}\t{item.who}".rstrip())
    if not found:
        say("no serial port, USB or GPIB instrument here; name addresses to look at, or a bench file", err=True)
    if any(item.state == "not opened" for item in found):
        say("not opened: name a port to have it asked, or give --probe for all of them", err=True)
