"""Puts a calibration that a bench file names in front of a bench; refuses one that is foreign or too old."""

from __future__ import annotations

from pathlib import Path

from drivers.errors import CalibrationExpired
from hil.counterparts.device import DeviceBench
from hil.counterparts.emulator import EmulatorBench
from hil.counterparts.opening.bench_file import DeviceEntry
from hil.counterparts.seam import Bench


def calibrated(bench: Bench, entry: DeviceEntry) -> Bench:
    """The bench itself, or with the entry's calibration in front of it.

    Raises:
        CalibrationExpired: unreadable, foreign, or too old and not overridden by its id; the bench is closed.
    """
    if entry.calibration is None:
        return bench
    from hil.measuring.calibrate import file  # half a second of imports that most benches need not
    from hil.measuring.calibrate import header as calibration_file
    from hil.measuring.calibrate.bench import CalibratedBench

    path = Path(entry.calibration)
    try:
        model, serial = _identity(bench)
        record = calibration_file.check(path, model, serial, entry.allow_calibration)
        return CalibratedBench(bench, file.read(path), record)
    except BaseException:
        bench.close()
        raise


def _identity(bench: Bench) -> tuple[str, str]:
    """Model and serial number, as the device's firmware gives them."""
    if isinstance(bench, DeviceBench):
        identity = bench.crossbar.info.identity
        return identity.model, identity.serial
    if isinstance(bench, EmulatorBench):
        return bench.chip.datasheet.identity.model, f"seed-{bench.chip.seed}"
    raise CalibrationExpired(f"{bench.address} is no device: there is nothing to calibrate")
