"""A measuring item, a table format, an export format, a report section."""

import json
from typing import ClassVar

import numpy as np

from firmware_specs.codes import Capability
from hil.measuring import robust
from hil.measuring.characterize import health
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.items.item import READS, Settings
from hil.measuring.characterize.steps import Step, Write
from hil.measuring.imports.readings import Readings
from hil.report.page import Section, Text


class Glance(Settings):
    """Writes cells once and looks twice: what a glance is worth."""

    NAME: ClassVar = "club_glance"
    NEEDS: ClassVar = (Capability.WRITE, Capability.MEASURE)
    DIMS: ClassVar = {"level": READS}
    UNITS: ClassVar = {"level": "1"}

    reads: int = 4

    def steps(self, probe):
        def look(p):
            return {"level": p.read(self.reads)}

        return [Step(look, (Write(0.5),)), Step(look, ())]

    def conclude(self, data, sheet):
        cells = data["level"].to_numpy().mean(axis=1)[:, health.good(data)]
        return [Figure(f"{self.NAME}.moved", robust.mean(cells[-1] - cells[0]), 0.0, health.left_out(data))]


def read_notes(paths, options, rows):
    """The club's notes: lines `cell seconds siemens`."""
    cells, seconds, siemens = np.loadtxt(paths[0], unpack=True)
    return Readings("reads", cells.astype(np.int64), {"time": seconds, "conductance": siemens})


def card(sheet, name):
    """The club's index card (JSON)."""
    return json.dumps({"name": name, "lowest": sheet.cells.g_min_s, "highest": sheet.cells.g_max_s})


def remark(folder):
    """A remark of the club under every report."""
    return Section("The club's remark", [Text(f"{folder.path.name} was trained at the club.")])
