"""Who has which device of a bench file, and how it is, from locks and what runs have written: none is opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from drivers.doors import is_wire
from drivers.errors import DeviceError
from drivers.lock import left_by, owner_of
from firmware_specs.racks import RackError
from hil.counterparts.opening.bench_file import DeviceEntry, load, rack_of

Runs = Mapping[str, Mapping[str, Any]]
"""What is seen of runs that go on, by the address of their counterpart."""


def devices(bench: Path, runs: Runs | None = None) -> Iterator[str]:
    """Devices of a bench file, a line each and one for every instrument of a rack; those that are free are not opened
    either.

    Args:
        bench: The file.
        runs: Say how the device of one that goes on is.

    Raises:
        BenchFileError: the file is refused.
    """
    for name, entry in load(bench).devices.items():
        run = (runs or {}).get(f"bench:{bench.absolute()}#{name}") or (runs or {}).get(entry.address)
        said = "" if run is None else f"; {_standing(run)}"
        if entry.address.startswith("rack:"):
            yield f"{name}  {entry.address}  a rack{said}"
            yield from _instruments(entry, bench.parent)
        elif not is_wire(entry.address):
            yield f"{name}  {entry.address}  in process{said}"
        else:
            yield f"{name}  {entry.address}  {_held(entry.address)}{said}"


def _instruments(entry: DeviceEntry, folder: Path) -> Iterator[str]:
    try:
        rack = rack_of(entry, folder)
    except RackError as error:
        yield f"    {error}"
        return
    for name, spec in rack.instruments.items():
        held = _held(f"visa:{spec.address}") if spec.address else "has no address"
        yield f"    {name}  {spec.model}  {spec.address or '-'}  {held}"


def _held(address: str) -> str:
    try:
        if (owner := owner_of(address)) is not None:
            return f"in use by {owner}"
        if (port := _missing(address)) is not None:
            return f"not there: this machine has no {port}"
        if (last := left_by(address)) is not None:
            return f"free, but {last} had it and is gone without a word: look whether its outputs are off"
    except DeviceError as error:
        return str(error)
    return "free"


def _missing(address: str) -> str | None:
    """The file of a serial port that is not there; None where there is one, or the address names none."""
    scheme, _, rest = address.partition(":")
    port = rest.partition("?")[0]
    return port if scheme == "serial" and port.startswith("/") and not Path(port).exists() else None


def _standing(run: Mapping[str, Any]) -> str:
    """How a run's device was when it was last asked."""
    said = [f"run {run['place']}"]
    if device := run.get("device"):
        said.append(f"outputs {'on' if device.get('outputs') else 'off'}")
        if device.get("temperature_k"):
            said.append(f"chip {device['temperature_k']:.4g} K")
        said += [
            f"{each.get('name')} {each.get('output')}{', ' + each['compliance'] if each.get('compliance') else ''}"
            for each in device.get("instruments") or ()
        ]
    return ", ".join(said)
