"""What the cells of a chip have had, kept on this computer where the chip does not count itself.

Pulses and energy wear a chip for good, so their totals belong to the chip, not to a run or a process. A device with
USAGE keeps them itself; of any other, and of a bare crossbar in a rack, a file a chip does. It is replaced, whole and
on disk, before the pulses go out that it counts: after a power cut it says too much rather than too little. Of a device
that counts itself the file is a copy, as of the end of the last session.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from drivers.errors import OutOfRange
from firmware_specs import platform

FOLDER_VARIABLE = "CROSSBAR_HIL_LEDGERS"
LARGEST = 1 << 30
"""Bytes of a ledger that is read: more than a hundred chips of 1024 x 1024 cells have none of."""
Pulses = NDArray[np.int64]
Joules = NDArray[np.float64]


MOST_COUNT = 2**53
"""Pulses of a cell; more is no count."""


def plane_name(array: int, coupling: int, plane: int) -> str:
    """What the cells of a plane are kept under."""
    return f"array {array} coupling {coupling} plane {plane}"


class ChipLedger:
    """Pulses and joules by crossbar, each an array of (rows, columns).

    Args:
        chip: Who it is: vendor, model and serial number, or the name of the crossbar in a rack.
        folder: Where the files are; the user's own state folder, or that of the environment, where not given.

    Raises:
        OutOfRange: the file cannot be read: then nobody knows what the cells have had.
    """

    def __init__(self, chip: str, folder: Path | None = None) -> None:
        self.chip = chip
        readable = re.sub(r"[^A-Za-z0-9]+", "-", chip).strip("-")[:60]
        digest = hashlib.sha256(chip.encode(errors="surrogateescape")).hexdigest()[:12]
        self.path = (folder or ledger_folder()) / f"{readable}-{digest}.safetensors"
        self._kept = self._read()

    @classmethod
    def of_file(cls, path: Path) -> ChipLedger:
        """What a file holds, whatever its chip is called.

        Raises:
            OutOfRange: it does not read.
        """
        found = cls.__new__(cls)
        found.chip, found.path = path.stem.rpartition("-")[0], path
        found._kept = found._read()
        return found

    @property
    def sums(self) -> tuple[int, float, float]:
        """Pulses of the busiest cell, joules of the cell that had most, joules of all."""
        pulses = [values for name, values in self._kept.items() if name.endswith(".pulses")]
        joules = [values for name, values in self._kept.items() if name.endswith(".joules")]
        most = max((int(values.max(initial=0)) for values in pulses), default=0)
        heat = max((float(values.max(initial=0)) for values in joules), default=0.0)
        return most, heat, sum((float(values.sum()) for values in joules), 0.0)

    def had(self, crossbar: str, shape: tuple[int, ...]) -> tuple[Pulses, Joules]:
        """What cells have had, zeros where nothing is known; cells keep their place whatever a block's size is."""
        pulses, joules = np.zeros(shape, np.int64), np.zeros(shape)
        for name, values in ((f"{crossbar}.pulses", pulses), (f"{crossbar}.joules", joules)):
            known = self._kept.get(name)
            if known is not None:
                place = _common(known.shape, shape)
                values[place] = known[place]
        return pulses, joules

    def keep(self, crossbar: str, pulses: Pulses, joules: Joules) -> None:
        """Writes what cells have had now; totals never fall, and cells beyond this block keep theirs.

        Raises:
            OutOfRange: it cannot be written: nothing may go out.
        """
        self.keep_all({crossbar: (pulses, joules)})

    def keep_all(self, crossbars: Mapping[str, tuple[Pulses, Joules]]) -> None:
        """The same of several, at once."""
        for crossbar, (pulses, joules) in crossbars.items():
            self._take(f"{crossbar}.pulses", pulses)
            self._take(f"{crossbar}.joules", joules)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _replace(self.path, save(self._kept, {"chip": self.chip}))
        except OSError as error:
            raise self._unfit(f"cannot be written ({error.strerror or error}); nothing was sent") from error

    def _take(self, name: str, values: NDArray[Any]) -> None:
        known = self._kept.get(name, np.zeros_like(values))
        whole = np.zeros([max(a, b) for a, b in zip(known.shape, values.shape, strict=True)], values.dtype)
        whole[_all_of(known.shape)] = known
        place = _all_of(values.shape)
        whole[place] = np.maximum(whole[place], values)
        self._kept[name] = whole

    def _read(self) -> dict[str, NDArray[np.generic]]:
        try:
            if self.path.stat().st_size > LARGEST:
                raise self._unfit(f"is larger than {LARGEST} bytes")
            found = load(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unfit(f"cannot be read ({error.strerror or error})") from error
        except SafetensorError as error:
            raise self._unfit(f"is damaged ({error})") from error
        for name, values in found.items():
            wanted = np.int64 if name.endswith(".pulses") else np.float64
            if values.ndim != 2 or values.dtype != wanted or not ((values >= 0) & (values <= MOST_COUNT)).all():
                raise self._unfit(f"is damaged ({name})")
        return {name: values.copy() for name, values in found.items()}

    def _unfit(self, why: str) -> OutOfRange:
        return OutOfRange(
            f"{self.path}, where the pulses of {self.chip} are counted, {why}",
            todo="Put a copy back or repair the disk; without it nobody knows what the cells have had",
        )


def ledger_folder() -> Path:
    """Where ledgers are kept: of this user, and not where temporary files are cleared."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen)
    state = os.environ.get("XDG_STATE_HOME")
    try:
        home = Path(state) if state else Path.home() / ".local" / "state"
    except RuntimeError as error:  # no HOME, and no entry in the password file
        raise OutOfRange(
            "this user has no home folder to keep the count of pulses in",
            todo=f"Name a folder that stays: {FOLDER_VARIABLE}=FOLDER",
        ) from error
    return home / "crossbar-hil" / "ledgers"


def _common(known: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(0, min(a, b)) for a, b in zip(known, wanted, strict=True))


def _all_of(shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(0, size) for size in shape)


def _replace(path: Path, content: bytes) -> None:
    """The whole file or the old one, on disk when it returns."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        platform.replace(Path(temporary), path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
