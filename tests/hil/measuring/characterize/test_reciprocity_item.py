"""The reciprocity of cells on chips whose cells are known, which multiply and which settle."""

import pytest

from emulator.chip import Chip
from firmware_specs.datasheet import load
from hil.counterparts.opening.wire import crossbar_of_chip
from hil.measuring.characterize import plan, run
from hil.measuring.characterize.items import Reciprocity
from hil.measuring.characterize.probe import Probe

pytestmark = pytest.mark.usefixtures("unpublished")


def sheet_of(name, spread, gain):
    sheet = load(name)
    cells = sheet.cells.model_copy(update={"nonreciprocity": spread, "backward_gain": gain})
    return sheet.model_copy(update={"cells": cells})


def characterized(folder, sheet, seed=3, size=16, **settings):
    with crossbar_of_chip(Chip(sheet, seed)) as crossbar:
        named = plan.Plan(rows=size, columns=size, reciprocity=Reciprocity(**settings))
        return run.characterize(crossbar, named, folder, sheet)


@pytest.mark.parametrize(
    ("name", "spread", "gain"),
    [("arc-two-32x32-like", 0.2, 0.9), ("mixed-8bit", 0.2, 0.9), ("self-updating", 0.2, 0.9), ("mixed-8bit", 0.0, 1.0)],
)
def test_gain_and_spread_are_found(tmp_path, name, spread, gain):
    told = characterized(tmp_path / "chip", sheet_of(name, spread, gain))
    found, between = (told[f"reciprocity.{figure}"] for figure in ("gain", "spread"))
    assert (found.stated, between.stated) == (gain, spread)
    assert abs(found.measured.value - gain) < 3.5 * found.measured.sigma
    assert abs(between.measured.value - spread) < 3.5 * between.measured.sigma
    assert found.measured.sigma < 0.05 and between.measured.sigma < 0.1


def test_resistors_are_left_alone_and_it_says_why():
    sheet = load("resistive-board")
    with crossbar_of_chip(Chip(sheet, 1)) as crossbar:
        assert "alike either way" in Reciprocity().refusal(Probe(crossbar, 4, 4, sheet=sheet))
