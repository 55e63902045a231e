"""The search for symmetric points on chips whose points are known."""

import pytest

from emulator.chip import Chip
from firmware_specs.datasheet import Datasheet, load
from hil.counterparts.opening.wire import crossbar_of_chip
from hil.measuring.characterize import plan, run
from hil.measuring.characterize.items import SymmetricPoint
from hil.measuring.characterize.probe import Probe

ASYMMETRY, SPREAD = 0.2, 0.1


def sheet(**pulses):
    document = load("mixed-8bit").model_dump(exclude_unset=True)
    law = {"law": "soft_bounds", "step": 0.02, "asymmetry": ASYMMETRY, "asymmetry_d2d": SPREAD, "c2c": 0.3}
    document["pulses"] = law | {"amplitude_v": 1.0, "width_s": 1e-6} | pulses
    document["read_noise"] = {"law": "relative", "sigma": 0.01}
    return Datasheet.model_validate(document)


def characterized(folder, datasheet, **settings):
    with crossbar_of_chip(Chip(datasheet, 3)) as crossbar:
        found = plan.Plan(rows=12, columns=8, symmetric_point=SymmetricPoint(**settings))
        return run.characterize(crossbar, found, folder, datasheet)


def test_points_lie_where_steps_up_and_down_are_equal_and_both_searches_end_there(tmp_path):
    found = characterized(tmp_path / "chip", sheet())
    # (1 + a) 2 (1 - x) = (1 - a) 2 x, so x = (1 + a) / 2
    level, spread = found["symmetric_point.level"], found["symmetric_point.spread"].measured
    assert level.stated == pytest.approx((1 + ASYMMETRY) / 2, abs=1e-6)
    assert abs(level.measured.value - level.stated) < 3 * level.measured.sigma + SPREAD / 2 / 8
    assert spread.value == pytest.approx(SPREAD / 2, rel=0.35)
    assert abs(found["symmetric_point.apart"].measured.value) < 0.03


def test_a_search_that_was_too_short_says_how_far_apart_it_ended(tmp_path):
    found = characterized(tmp_path / "chip", sheet(), pairs=2, last=2)
    assert found["symmetric_point.apart"].measured.value > 0.2
    assert found["symmetric_point.level"].measured.sigma > 0.1


def test_cells_that_go_one_way_only_are_left_alone_and_it_says_why(tmp_path):
    datasheet = sheet(one_sided=True)
    with crossbar_of_chip(Chip(datasheet, 3)) as crossbar:
        found = plan.Plan(rows=4, columns=4, symmetric_point=SymmetricPoint())
        refused = SymmetricPoint().refusal(Probe(crossbar, 4, 4, sheet=datasheet))
        told = run.characterize(crossbar, found, tmp_path / "chip", datasheet)
    assert "one way only" in refused
    with pytest.raises(KeyError):
        told["symmetric_point.level"]
