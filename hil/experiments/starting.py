"""A first bench file and a first experiment, as `hil init` writes them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from firmware_specs.refusals import explain
from hil.outputs import NotReplaced, refuse_replacing

NAME = "chip"
BENCH = """#:schema ./bench.schema.json
# The devices of this bench. Every key: hil schema bench, or hover over one in an editor that knows the line above.

[devices.{name}]
address = {address}
{more}"""
REAL = """# datasheet = "chip.toml"    # what it must agree with: a shipped name or a file
# serial = "0001"            # refuse any other specimen
watchdog_s = 2.0             # the device turns its outputs off this long after the last sign of life

[devices.{name}.limits]
# max_drive_a = 1e-4         # what your chip may see at most; what is left out is not narrowed
# max_pulse_v = 1.2
"""
EXPERIMENT = """#:schema ./experiment.schema.json
# What is trained, on what. `hil train FILE --set run.epochs=20` replaces a value for once.

title = {title}
device = "bench:bench.toml#{name}"

[data]
name = {data}

[[blocks]]
# on this computer: from the data to the drives of the array
feedforward = [{{ kind = "flatten" }}, {{ kind = "linear", units = {units} }}]

[blocks.energy]
# on the array: {units} neurons that are driven, {units} that answer, a crossbar between them
couplings = [{{ kind = "dense", units = {units} }}]
slope = 0.5

[optimizer]
lr = 3e-3

[run]
epochs = 5
batch = 32
"""


class StartError(ValueError):
    """Nothing was written; the message says why."""


@dataclass(frozen=True)
class Wanted:
    """What a person answered.

    Attributes:
        device: Address of the chip.
        data: Data set.
        units: Neurons of either layer.
    """

    device: str
    data: str
    units: int


def write(wanted: Wanted, folder: Path) -> list[Path]:
    """Writes `bench.toml`, `experiment.toml` and their schemas.

    Raises:
        StartError: an answer is none, or a file is there already.
    """
    from hil.schemas import text_of

    texts = {
        "bench.toml": BENCH.format(name=NAME, address=json.dumps(wanted.device), more=_more(wanted.device)),
        "experiment.toml": EXPERIMENT.format(
            name=NAME, title=json.dumps(f"{wanted.data} on {NAME}"), data=json.dumps(wanted.data), units=wanted.units
        ),
    }
    _check(texts)
    texts |= {f"{kind}.schema.json": text_of(kind) for kind in ("bench", "experiment")}
    there = [name for name in texts if (folder / name).exists() and not _schema_of_ours(folder / name)]
    if there:
        raise StartError(f"{folder / there[0]} is there already, and was left as it is; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    return [folder / name for name in texts]


def _schema_of_ours(path: Path) -> bool:
    """A schema that `hil schema` or an earlier `hil init` wrote."""
    try:
        refuse_replacing(path, overwrite=False)
    except NotReplaced:
        return False
    return path.suffix == ".json" and path.is_file()


def _more(address: str) -> str:
    return "" if address.partition(":")[0] in ("emulator", "reference") else REAL.format(name=NAME)


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
