"""A first bench file and a first experiment, as `hil init` writes them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from firmware_specs.refusals import explain
from hil.experiments.starting_texts import (
    BENCH,
    EXPERIMENT,
    HOPFIELD,
    NAME,
    NO_READOUT,
    RACK,
    REAL,
    RESISTIVE,
    UNWATCHED,
)
from hil.outputs import NotReplaced, refuse_replacing

LOSSES = {"classes": "cross_entropy", "labels": "multi_label", "values": "regression"}
"""What is minimized, by what the labels are, with a readout on the host; without one, classes take `mse`."""
MOST_UNITS = 65536


class StartError(ValueError):
    """Nothing was written; the message says why."""


@dataclass(frozen=True)
class Place:
    """Where the chip is.

    Attributes:
        address: Its address.
        kind: `hopfield`, `resistive` or `rack`: what an experiment for it looks like.
    """

    address: str
    kind: str

    @property
    def usual(self) -> tuple[str, int]:
        """Data and neurons that fit such a chip."""
        return ("iris", 12) if self.kind == "rack" else ("digits", 32)


@dataclass(frozen=True)
class Lesson:
    """What is to be learned.

    Attributes:
        name: Data set.
        outputs: Number of scores.
        targets: What labels are: `classes`, `labels` or `values`.
        fetched: Its files are to be downloaded first.
    """

    name: str
    outputs: int
    targets: str
    fetched: bool = False


def place(answer: str, folder: Path) -> Place:
    """Where the chip is; nothing is opened. A file that is named from here is named so that it is found from anywhere.

    Args:
        answer: An address.
        folder: Where the bench file will be.

    Raises:
        StartError: it is none, or its datasheet or the file of its rack is none.
    """
    from drivers.errors import OutOfRange
    from hil.counterparts.opening.bench import check_address
    from hil.counterparts.opening.schemes import chip_of

    address = _from_anywhere(answer, folder)
    scheme = address.partition(":")[0]
    if scheme == "bench":
        raise StartError(f"{answer}: is in a bench file already; name the chip itself, e.g. emulator:ideal")
    try:
        check_address(address)
        if scheme == "emulator":
            return Place(address, chip_of(address)[0].fabric.substrate)
    except (ValueError, OutOfRange) as error:
        raise StartError(str(error)) from error
    return Place(address, "rack" if scheme == "rack" else "hopfield")


def lesson(answer: str, folder: Path) -> Lesson:
    """What a data set teaches: it is read, but those that have to be downloaded.

    Args:
        answer: A data set as `data.name` of an experiment.
        folder: Where the experiment will be.

    Raises:
        StartError: there is none of that name, or its file is refused.
    """
    from hil.data import FORMS, DataError, load
    from hil.data.catalogue import CATALOGUE
    from hil.experiments.sections import Data

    if answer in CATALOGUE:
        return Lesson(answer, FORMS[answer][1], "classes", fetched=True)
    name = _from_anywhere(answer, folder)
    try:
        found = load(Data(name=name), Path("data"))
    except DataError as error:
        raise StartError(str(error).removeprefix("data.name: ")) from error
    return Lesson(name, found.classes, found.targets)


def units(answer: str) -> int:
    """Neurons of either layer.

    Raises:
        StartError: no whole number of 1 to 65536.
    """
    if not answer.isdecimal() or not 1 <= int(answer[:9]) <= MOST_UNITS:
        raise StartError(f"{answer!r}: a whole number from 1 to {MOST_UNITS} is expected")
    return int(answer)


def write(where: Place, what: Lesson, units: int, folder: Path) -> list[Path]:
    """Writes `bench.toml`, `experiment.toml` and their schemas.

    Raises:
        StartError: an answer is none, or a file is there already.
    """
    from hil.schemas import text_of

    texts = {"bench.toml": _bench(where), "experiment.toml": _experiment(where, what, units)}
    _check(texts)
    texts |= {f"{kind}.schema.json": text_of(kind) for kind in ("bench", "experiment")}
    refuse_what_is_there(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    return [folder / name for name in texts]


def refuse_what_is_there(folder: Path) -> None:
    """Refuses a folder in which a file would be replaced that is not our schema; raises `StartError`."""
    for name in ("bench.toml", "experiment.toml", "bench.schema.json", "experiment.schema.json"):
        if (folder / name).exists() and not _schema_of_ours(folder / name):
            raise StartError(f"{folder / name} is there already, and was left as it is; name another folder")


def _from_anywhere(answer: str, folder: Path) -> str:
    """An address or data set whose file is here, with its whole path, unless the new files will be here, too."""
    from firmware_specs.addresses import split_options

    if folder.resolve() == Path.cwd():
        return answer
    named, options = split_options(answer)
    scheme, found, path = named.partition(":")
    if not found or Path(path).is_absolute() or not Path(path).exists() or not path:
        return answer
    return f"{scheme}:{Path(path).resolve().as_posix()}" + (f"?{options}" if options else "")


def _bench(where: Place) -> str:
    address, more = where.address, ""
    if address.partition(":")[0] not in ("emulator", "reference"):
        more = REAL.format(name=NAME)
    if where.kind == "rack":
        address, found, option = address.partition("?allow_no_watchdog=")
        more = (UNWATCHED if found and option in ("1", "true") else "") + more
    return BENCH.format(name=NAME, address=json.dumps(address), more=more)


def _experiment(where: Place, what: Lesson, units: int) -> str:
    model = {"hopfield": HOPFIELD, "resistive": RESISTIVE, "rack": RACK}[where.kind]
    loss = LOSSES[what.targets]
    if where.kind != "hopfield" and loss == "cross_entropy":
        loss = "mse"
    return EXPERIMENT.format(
        name=NAME,
        title=json.dumps(f"{what.name} on {NAME}"),
        data=json.dumps(what.name),
        loss=loss,
        readout="" if where.kind == "hopfield" else NO_READOUT,
        model=model.format(units=units, outputs=what.outputs),
    )


def _schema_of_ours(path: Path) -> bool:
    """A schema that `hil schema` or an earlier `hil init` wrote."""
    try:
        refuse_replacing(path, overwrite=False)
    except NotReplaced:
        return False
    return path.suffix == ".json" and path.is_file()


def _check(texts: dict[str, str]) -> None:
    """Both are what `hil train` will read."""
    from firmware_specs.documents import parse_toml
    from hil.counterparts.opening.bench_file import BenchFile
    from hil.experiments.schema import Experiment

    for name, model in (("bench.toml", BenchFile), ("experiment.toml", Experiment)):
        document = parse_toml(texts[name])
        try:
            model.model_validate(document)
        except ValidationError as error:
            raise StartError("; ".join(explain(error, document, model))) from error
