"""Traffic of an opening that failed, kept where the message can point at it: nobody has a run folder yet."""

from __future__ import annotations

import contextlib
import hashlib
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from drivers.device_name import device_name
from drivers.errors import DeviceError
from drivers.recording import FlightRecorder
from firmware_specs import platform


def keep(recorder: FlightRecorder, address: str) -> Path | None:
    """Writes what went over a wire to a file, one a device; None where nothing did, or none can be written."""
    if not recorder.entries:
        return None
    name = hashlib.sha256(device_name(address).encode(errors="surrogateescape")).hexdigest()[:12]
    with contextlib.suppress(OSError):
        path = _folder() / f"opening-{name}.log"
        recorder.save(path, address)
        return path
    return None


def tell(error: BaseException, wires: Mapping[str, FlightRecorder]) -> None:
    """Keeps the traffic of an opening that failed, by address, and says in the error where it is."""
    if isinstance(error, DeviceError):
        kept = [str(log) for address, recorder in wires.items() if (log := keep(recorder, address))]
        if kept:
            error.add_note(f"The traffic of this opening is in {', '.join(kept)}")


def _folder() -> Path:
    """This user's alone: others could put links into one they share."""
    folder = Path(tempfile.gettempdir()) / f"crossbar-hil-flights-{platform.user_number()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or not platform.is_mine(found):
        raise OSError(f"{folder} is not a folder of this user")
    return folder
