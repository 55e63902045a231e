"""What every calibration file begins with: of which device it is, when it was made, how long it holds.

The file is TOML with a `[calibration]` table; other tables hold what was measured and are not looked at here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import AwareDatetime, ValidationError

from drivers.errors import CalibrationExpired
from firmware_specs.datasheet.section import Positive, Section
from firmware_specs.documents import parse_toml, read_text
from firmware_specs.refusals import explain


class CalibrationHeader(Section):
    """Identity of a calibration.

    Attributes:
        id: Name of this calibration, for provenance and overrides.
        model: Device model.
        serial: Serial number of the device.
        made: When, with time zone.
        valid_days: How long it holds.
        firmware: Of the device when it was made.
        temperature_k: Of the chip when it was made, where it can say.
    """

    id: str
    model: str
    serial: str
    made: AwareDatetime
    valid_days: Positive
    firmware: str | None = None
    temperature_k: Positive | None = None

    def age_days(self, now: datetime) -> float:
        """Days since it was made."""
        return (now - self.made) / timedelta(days=1)


def check(path: Path, model: str, serial: str, allow: str | None, now: datetime | None = None) -> dict[str, object]:
    """Checks that a calibration belongs to a device and still holds; returns what provenance records of it.

    Args:
        path: The file.
        model: Model of the device.
        serial: Its serial number.
        allow: Named override: the id of a calibration to use although it is expired or of another device.
        now: Time to judge by; the present if not given.

    Raises:
        CalibrationExpired: unreadable, of another device, or too old, and not overridden by its id.
    """
    header = _load(path)
    age = header.age_days(now or datetime.now(UTC))
    problems = []
    if (header.model, header.serial) != (model, serial):
        problems.append(f"it is of {header.model} {header.serial}, the device is {model} {serial}")
    if age > header.valid_days:
        problems.append(f"it is {age:.1f} days old and holds for {header.valid_days:g}")
    if age < 0:
        problems.append(f"it was made in the future, {header.made}")
    if problems and allow != header.id:
        raise CalibrationExpired(
            f"calibration {header.id} ({path}): " + "; ".join(problems),
            todo=f'Calibrate again, or use it by name: allow_calibration = "{header.id}" in the bench file',
        )
    told = {"id": header.id, "file": str(path), "age_days": round(age, 3), "valid_days": header.valid_days}
    return {**told, "overridden": problems}


def _load(path: Path) -> CalibrationHeader:
    try:
        document = parse_toml(read_text(path))
        return CalibrationHeader.model_validate(document.get("calibration", {}))
    except ValidationError as error:
        raise CalibrationExpired(
            f"calibration {path}: [calibration] " + "; ".join(explain(error, None, CalibrationHeader))
        ) from error
    except (OSError, ValueError) as error:
        raise CalibrationExpired(f"calibration {path}: not readable: {error}") from error
