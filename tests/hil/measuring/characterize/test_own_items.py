"""Measuring items of one's own: registered by a package or a named module, measured, kept, drawn, read back."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pytest

from drivers.doors import Options
from emulator.chip import Chip
from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.registry import register
from hil.counterparts.opening.wire import crossbar_of_chip
from hil.measuring import robust
from hil.measuring.characterize import health, plan, run
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.items.item import READS, Settings
from hil.measuring.characterize.steps import Step, Write
from hil.report.characterization import write_report


class Disturb(Settings):
    """Does reading a cell many times move it?"""

    NAME: ClassVar[str] = "read_disturb"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.WRITE, Capability.MEASURE)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"level": READS}
    UNITS: ClassVar[Mapping[str, str]] = {"level": "1", "reads_before": "1"}

    rounds: int = 3

    def steps(self, probe):
        def look(p):
            return {"level": p.read(4)}

        return [Step(look, (Write(0.5),) if n == 0 else (), {"reads_before": 4.0 * n}) for n in range(self.rounds)]

    def conclude(self, data, sheet):
        cells = data["level"].to_numpy().mean(axis=1)[:, health.good(data)]
        return [Figure(f"{self.NAME}.moved", robust.mean(cells[-1] - cells[0]), 0.0, health.left_out(data))]


register("items", "read_disturb", Disturb)
TEXT = "rows = 8\ncolumns = 8\n[own.read_disturb]\nrounds = 4\n"


def faulty():
    return Datasheet.model_validate(load("ecram").model_dump() | {"faults": {"stuck_on": 0.1}})


def test_an_item_of_ones_own_is_measured_kept_and_read_back(tmp_path):
    (tmp_path / "plan.toml").write_text(TEXT)
    chosen = plan.load(tmp_path / "plan.toml")
    with crossbar_of_chip(Chip(faulty(), seed=1), Options(watchdog_s=60.0)) as crossbar:
        found = run.characterize(crossbar, chosen, tmp_path / "run")
    assert found["read_disturb.moved"].verdict == "agrees"
    assert "stuck high" in found["read_disturb.moved"].note
    assert found.data["read_disturb"].sizes["step"] == 4
    again = run.load(tmp_path / "run")
    assert again["read_disturb.moved"] == found["read_disturb.moved"]
    assert np.array_equal(again.data["read_disturb"]["level"], found.data["read_disturb"]["level"])
    assert plan.of(tmp_path / "run").own["read_disturb"].rounds == 4
    write_report(again, tmp_path / "page.html")
    assert "read_disturb.moved" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("table", "said"),
    [("[own.read_disturbb]", "read_disturb"), ("[own.read_disturb]\nround = 3", "round"),
     ("[own.read_disturb]\nrounds = 'many'", "rounds")],
)  # fmt: skip
def test_names_and_settings_that_are_not_there_are_refused_with_what_is_close(table, said, tmp_path):
    (tmp_path / "plan.toml").write_text(table)
    with pytest.raises(plan.PlanError, match=said):
        plan.load(tmp_path / "plan.toml")


def test_what_is_no_item_is_refused(tmp_path):
    register("items", "no_item", dict)
    (tmp_path / "plan.toml").write_text("[own.no_item]")
    with pytest.raises(plan.PlanError, match="no measuring item: it lacks NAME"):
        plan.load(tmp_path / "plan.toml")


def test_only_some_items_of_a_plan():
    whole = plan.usual(8, 8)
    assert [i.NAME for i in plan.only(whole, ["found"]).items] == ["found"]
    assert [i.NAME for i in plan.only(whole, ["drift"]).items] == ["health", "drift"]
    with pytest.raises(plan.PlanError, match="endurance: not in the plan; there are found, health"):
        plan.only(whole, ["endurance"])
