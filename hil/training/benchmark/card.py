"""The card of a benchmark: what a counterpart did on the fixed tasks, as a document that chips and papers share.

`card.json` is this shape. Whoever has figures from elsewhere writes one by hand: `format`, `device` with a `model`, and
`tasks` with `task` and `accuracy` are enough.
"""

from __future__ import annotations

import math
import re
import statistics
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from hil.training.run import documents
from hil.training.run.documents import Count, DocumentError, Number, Text

FORMAT = "crossbar-hil card 1"
NAME = "card.json"
Share = Annotated[float, Field(ge=0, le=1)]
Accuracies = Annotated[list[Share], Field(max_length=1000)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Device(_Part):
    """Who was benchmarked.

    Attributes:
        model: Its name.
        vendor: Who made it.
        serial: Which specimen; empty for one specimen a seed.
        address: Where it was.
        kind: `emulator`, `device`, `rack`, `reference`, or anything else from elsewhere.
        source: Where its figures come from, for a chip that is emulated or was published.
    """

    model: Text
    vendor: Text = ""
    serial: Text = ""
    address: Text = ""
    kind: Text = ""
    source: Text = ""


class Done(_Part):
    """One task.

    Attributes:
        task: Which.
        experiment: What was trained.
        update: Rule that moved the cells.
        accuracy: Test accuracy of every seed, 0..1.
        frozen: The same where the cells stayed as they began.
        cosine: Of the trained gradients to implicit differentiation's, one a seed where it was measured.
        samples: Training samples seen in one training, repeats counted.
        pulses_a_sample: Pulses and writes of all cells together in one training, divided by `samples`.
        joules_a_sample: Energy that is known, likewise.
        not_known: Parts of the energy that no figure is known of.
        settle_s: Time of a free phase of one sample on the device.
        most_pulses: Pulses and writes of the busiest cell in one training, the largest of all seeds.
        endurance: Of a cell by the datasheet, pulses and writes.
        seconds: Wall time of one training on the host that ran it.
        note: What went wrong, of trainings that failed.
    """

    task: Text
    experiment: Text = ""
    update: Text = ""
    accuracy: Accuracies = []
    frozen: Accuracies = []
    cosine: Annotated[list[Annotated[float, Field(ge=-1.001, le=1.001)]], Field(max_length=1000)] = []
    samples: Count | None = None
    pulses_a_sample: Number | None = None
    joules_a_sample: Number | None = None
    not_known: Annotated[list[Text], Field(max_length=20)] = []
    settle_s: Number | None = None
    most_pulses: Number | None = None
    endurance: Number | None = None
    seconds: Number | None = None
    note: Text = ""


class Card(_Part):
    """What a counterpart did.

    Attributes:
        format: This one.
        device: Who.
        software: What measured it, with its version.
        made: When, ISO 8601.
        seeds: Of the trainings.
        update: The rule its cells followed.
        tried: Accuracy of every rule that was tried on samples set apart; empty where one was asked for, or there is
            one only.
        tried_on: The task they were tried on.
        tasks: What was done.
        left_out: Tasks that were not, and why.
    """

    format: Literal["crossbar-hil card 1"]
    device: Device
    software: Text = ""
    made: Text = ""
    seeds: Annotated[list[Count], Field(max_length=1000)] = []
    update: Text = ""
    tried: dict[Text, Share] = {}
    tried_on: Text = ""
    tasks: Annotated[list[Done], Field(max_length=100)] = []
    left_out: dict[Text, Text] = {}

    def of(self, task: str) -> Done | None:
        """What it did on a task; None where it was not done."""
        return next((done for done in self.tasks if done.task == task), None)


def spread(values: list[float]) -> tuple[float, float]:
    """Mean and standard deviation; of one value the deviation is NaN, of none both are."""
    if not values:
        return math.nan, math.nan
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan


def read(path: Path) -> Card:
    """A card from its file, or from the folder of a benchmark.

    Raises:
        DocumentError: there is none, or it is none.
    """
    place = path / NAME if path.is_dir() else path
    found = documents.read(place, Card)
    if found is None:
        raise DocumentError(f"{place}: there is no card; `hil benchmark ADDRESS` makes one")
    return found


def is_one(path: Path) -> bool:
    """Whether a path is meant as a card: a JSON file, or a folder with one."""
    return path.suffix == ".json" or (path / NAME).is_file()


def short_name(address: str) -> str:
    """A counterpart's address as part of the name of a folder: `emulator:pcm?seed=1` is `pcm-seed-1`."""
    text = address.removeprefix("emulator:").rstrip(":").removesuffix(".toml").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "device"
