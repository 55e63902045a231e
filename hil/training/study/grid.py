"""Studies: a grid of trainings over experiment, chip and time, one table and one picture.

Axes are `key=a,b,c`. Keys: `adc_bits`, `dac_bits`, `state_noise_v`, `programming_noise`, `read_noise` and `auto_range`
for short; `chip.SECTION.KEY` for any value of the datasheet; `device` for the address; `seed` for experiment and chip;
`experiment` for another experiment, e.g. the same net split otherwise; `rule` for how gradients are obtained, `ep` (as
the experiment has it), `implicit`, `unrolled` or `coupled`, or `frozen`, where the cells stay as they began and the
host's layers learn alone, the baseline of what the array is worth;
`drift_s` for the seconds a trained chip waits before it is tested (one training serves all of them); anything else is
a key of the experiment, as in `hil train --set`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from firmware_specs.documents import parse_toml
from hil.training.run import marked
from hil.training.run.atomic import write_json
from hil.training.run.kinds import RUN, STUDY
from hil.training.run.marked import RunError

WAIT_FOR_IT = "wait until it has ended, or choose another --run-dir"

Value = str | int | float | bool

CHIP_KEYS: dict[str, tuple[str, ...]] = {
    "adc_bits": ("state_adc.bits", "output_adc.bits"),
    "dac_bits": ("drive_dac.bits", "nudge_dac.bits"),
    "state_noise_v": ("state_adc.noise_sigma_v", "output_adc.noise_sigma_v"),
    "programming_noise": ("cells.programming_noise",),
    "read_noise": ("read_noise.sigma",),
}
"""Short names of datasheet keys. A `read_noise` takes the place of a law without sigma, a `programming_noise` that of a
polynomial: an axis that changed nothing, or that every chip refused, would be no axis."""

EXPERIMENT_KEYS = {"auto_range": "estimator.auto_range", "seed": "run.seed"}
"""Short names of experiment keys."""

WAIT, NAMED, RULE, SEED = "drift_s", "experiment", "rule", "seed"
FROZEN = "frozen"
"""A value of `rule`."""


@dataclass(frozen=True)
class Axis:
    """One `--sweep`: a key and its values."""

    key: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Point:
    """One training and its tests.

    Attributes:
        values: Of every axis but the waits, by key.
        waits_s: Seconds to wait before each test, rising; empty where no axis asks for waits.
    """

    values: dict[str, Value] = field(default_factory=dict)
    waits_s: tuple[float, ...] = ()

    def rows(
        self,
        accuracies: Sequence[float | None],
        seconds: float | None = None,
        note: str = "",
        cosine: float | None = None,
    ) -> list[Row]:
        """Its lines of the table, one a test."""
        if not self.waits_s:
            return [Row(self.values, accuracies[0], seconds, note, cosine)]
        pairs = zip(self.waits_s, accuracies, strict=True)
        return [Row(self.values | {WAIT: wait}, accuracy, seconds, note, cosine) for wait, accuracy in pairs]

    @property
    def name(self) -> str:
        """Name of its folder."""
        text = ",".join(f"{key.rpartition('.')[2]}={value}" for key, value in self.values.items()) or "one"
        return "".join(c if c.isalnum() or c in "=,.-_+" else "_" for c in text)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        values: Of every axis, by key.
        accuracy: Test accuracy, 0..1; None where the point failed.
        seconds: Of training.
        note: Why it failed.
        cosine: Of its gradients to implicit differentiation's, at the trained weights; None where it was not asked.
    """

    values: dict[str, Value]
    accuracy: float | None
    seconds: float | None = None
    note: str = ""
    cosine: float | None = None


class StudyError(RunError):
    """A study that cannot be run as asked; the message says what would be right."""


def parse_axis(text: str) -> Axis:
    """An axis from `key=a,b,c`.

    Raises:
        StudyError: it has another form, or a wait that is no time.
    """
    key, equals, listed = text.partition("=")
    values = tuple(_value(part) for part in listed.split(","))
    if not equals or not key.strip() or "" in values:
        raise StudyError(f"--sweep {text}: expected key=a,b,c, e.g. --sweep adc_bits=4,6,8")
    if len(set(map(repr, values))) < len(values):
        raise StudyError(f"--sweep {text}: a value is given twice")
    if key == WAIT and any(isinstance(v, bool | str) or not 0 <= v < math.inf for v in values):
        raise StudyError(f"--sweep {text}: expected seconds, 0 or more")
    return Axis(key.strip(), values)


def points(axes: list[Axis]) -> list[Point]:
    """The grid, in the order of the axes.

    Raises:
        StudyError: two axes have the same key.
    """
    keys = [axis.key for axis in axes]
    if len(set(keys)) < len(keys):
        raise StudyError(f"--sweep: a key is given twice: {', '.join(keys)}")
    waits = tuple(sorted(float(v) for axis in axes if axis.key == WAIT for v in axis.values))
    rest = [axis for axis in axes if axis.key != WAIT]
    combinations = itertools.product(*(axis.values for axis in rest))
    return [Point(dict(zip([a.key for a in rest], values, strict=True)), waits) for values in combinations]


@contextlib.contextmanager
def opened(path: Path, document: Mapping[str, object], *, overwrite: bool, points: int = 0) -> Iterator[None]:
    """Starts a study's folder, or goes on with the one that asked for the same, and keeps others out of it.

    Raises:
        RunError: it holds another study, or something else; or another process writes it.
    """
    marked.refuse_written(path, WAIT_FOR_IT)
    _begun(path, document, overwrite=overwrite)
    with marked.written(path, STUDY, WAIT_FOR_IT):
        if not _begun(path, document, overwrite=overwrite):
            if marked.is_ours(path, STUDY):
                _clear(path)
            marked.mark(path, STUDY)
            write_json(path / "study.json", document)
        if marked.is_ours(path, STUDY):
            marked.mark(path, STUDY, points=points)
        yield


def _begun(path: Path, document: Mapping[str, object], *, overwrite: bool) -> bool:
    """Does the folder hold this very study?"""
    record = path / "study.json"
    try:
        if json.loads(record.read_bytes()) == document:
            return True
    except (OSError, ValueError, RecursionError):
        pass  # none, or none that can be read
    if path.exists() and not (path.is_dir() and (marked.is_ours(path, STUDY) or not marked.content(path))):
        raise StudyError(f"{path} exists and is not a study's folder: choose another --run-dir")
    if record.is_file() and not overwrite:
        raise StudyError(f"{path} holds a study with other settings: choose another --run-dir, or --overwrite")
    return False


def _clear(path: Path) -> None:
    """Removes what an earlier study made, its points' runs with it: they were trained with other settings."""
    for run in path.glob("points/*/run"):
        if marked.is_ours(run, RUN):
            marked.refuse_links(run, RUN)
            marked.clear(run, RUN)
            marked.unmark(run)
            with contextlib.suppress(OSError):  # holds what is not ours
                run.rmdir()
    marked.clear(path, STUDY, last="study.json")


def rows_in(folder: Path) -> list[Row] | None:
    """Rows of a point, None where it is not done, or its `point.json` does not read back."""
    try:
        rows = [Row(**row) for row in json.loads((folder / "point.json").read_bytes())]
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    known = (str, int, float)
    sound = all(
        isinstance(row.values, dict)
        and all(isinstance(value, known) for value in row.values.values())
        and all(isinstance(number, int | float | None) for number in (row.accuracy, row.seconds))
        and isinstance(row.note, str)
        for row in rows
    )
    return rows if sound else None


@dataclass(frozen=True)
class Spread:
    """Rows that differ in their seed only.

    Attributes:
        values: Of every other axis, by key.
        accuracies: 0..1, of those that did not fail.
        seconds: Wall time of every training of which it is known; other work on the machine adds to it.
    """

    values: dict[str, Value]
    accuracies: tuple[float, ...]
    seconds: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Of the accuracies."""
        return statistics.fmean(self.accuracies)

    @property
    def deviation(self) -> float:
        """Standard deviation of the accuracies; 0 for one."""
        return _deviation(self.accuracies)

    @property
    def mean_s(self) -> float | None:
        """Of the training times; None where none is known."""
        return statistics.fmean(self.seconds) if self.seconds else None

    @property
    def deviation_s(self) -> float:
        """Standard deviation of the training times; 0 for one."""
        return _deviation(self.seconds)


def over_seeds(rows: Sequence[Row]) -> list[Spread]:
    """Rows gathered over the seeds, in the order of their first."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.accuracy is not None:
            rest = {key: value for key, value in row.values.items() if key != SEED}
            groups.setdefault(json.dumps(rest), []).append(row)
    return [
        Spread(
            json.loads(key),
            tuple(r.accuracy for r in group if r.accuracy is not None),
            tuple(r.seconds for r in group if r.seconds is not None),
        )
        for key, group in groups.items()
    ]


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _value(text: str) -> Value:
    try:
        value = parse_toml(f"value = {text}")["value"]
    except (ValueError, KeyError):
        return text.strip()
    return value if isinstance(value, bool | int | float) else text.strip()
