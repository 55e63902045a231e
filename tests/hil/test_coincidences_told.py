"""Rows and columns that can be pulsed together: what a device says of it, and the firmware in C that does it."""

import numpy as np
import pytest

from drivers.connect import connect
from drivers.errors import ProtocolViolation
from drivers.loopback import Loopback
from drivers.stated import credible
from emulator.chip import Chip
from emulator.device import Device, capabilities
from emulator.machine import Machine
from emulator.serial_endpoint import SerialEndpoint
from firmware_specs import device_numbers
from firmware_specs.chains import dense_chain
from firmware_specs.codes import Capability, Parameter
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.firmware import board
from firmware_specs.messages import Region, Train
from hil.conformance.suite import SERIAL
from hil.counterparts.described import completed, datasheet_of, disagreements

HALVES = "\n[coincidence]\nhalf_select = 0.5\n"


def test_a_device_states_what_half_selected_cells_see_and_no_other_does():
    for name, share in (("ecram", 0.0), ("reram", 0.0), ("mixed-8bit", None)):
        sheet = load(name)
        assert device_numbers.parameters(sheet).get(Parameter.HALF_SELECT) == share
        assert (Capability.COINCIDE in capabilities(Chip(sheet))) == (share is not None)
    for wrong in ({36: -0.1}, {36: 1.1}, {}):
        with pytest.raises(ProtocolViolation, match="HALF_SELECT"):
            credible(wrong, Capability.COINCIDE, "x")


def test_a_datasheet_on_file_is_held_against_what_the_device_says():
    sheet = load("ecram")
    with connect_to(sheet) as crossbar:
        described = datasheet_of(crossbar.info, "x")
        assert described.coincidence == sheet.coincidence
        without = sheet.model_copy(update={"coincidence": None})
        assert completed(without, described).coincidence == sheet.coincidence
        other = sheet.model_copy(update={"coincidence": sheet.coincidence.model_copy(update={"half_select": 0.4})})
        assert disagreements(other, described) == ["coincidence.half_select: datasheet 0.4, device 0.0"]


def connect_to(sheet):
    from drivers.crossbar import Crossbar
    from drivers.framed import Framed
    from drivers.link import FramedLink
    from drivers.session import Session

    link = FramedLink(Loopback(SerialEndpoint(Machine(Device(Chip(sheet))), "x").feed, "x"), owner="test")
    return Crossbar(Session(Framed(link), watchdog_s=60.0))


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"coincidence": {"half_select": 0.5}}, "pulses.law"),
        ({"coincidence": {"half_select": 1.0}}, "half_select"),
        ({"coincidence": {}, "pulses": {"law": "constant", "step": 0.1}}, "would move half-selected cells"),
    ],
)
def test_a_datasheet_that_cannot_be_is_refused(sections, words):
    with pytest.raises(ValueError, match=words):
        Datasheet.model_validate(load("ideal").model_dump(exclude_unset=True) | sections)


def test_the_board_in_c_pulses_lines_where_its_datasheet_says_so(c_boards, tmp_path):
    text = (board.FOLDER / "board.toml").read_text().replace("[pulses]\n", f"{HALVES}\n[pulses]\nthreshold_v = 1.6\n")
    (tmp_path / "mine.toml").write_text(text)
    own = c_boards.folder / "lines"
    own.mkdir()
    (own / "board.h").write_text(board.text(load(str(tmp_path / "mine.toml")), "mine.toml"))
    program = c_boards.make(f"COMMON=-std=c11 -I{own} -I. -Icore -Ichip", name="lines")
    with c_boards.running(program / "board") as address, connect(address) as crossbar:
        assert crossbar.info.can(Capability.COINCIDE)
        crossbar.configure(0, dense_chain([8, 3], bias=False))
        crossbar.arm()
        draw = np.random.default_rng(0)
        region, used = Region(0, 0, 1, 0, 8, 0, 3), []
        train = Train(region, True, draw.random((40, 8)) < 0.5, draw.random((40, 3)) < 0.3)
        used.append(crossbar.usage(region))
        crossbar.coincide(0, [train], amplitude_v=3.0, width_s=1e-6)
        used.append(crossbar.usage(region))
        assert (used[1][0] - used[0][0]).tolist() == train.counts.tolist()
        warm = (used[1][1] - used[0][1]) > 0
        assert (warm == (train.counts + train.half_selected > 0)).all()
    with c_boards.wire(program / "board") as wire:
        result = SERIAL.run(wire, SERIAL.select(["coincidences", "pulses"]), patience_s=30.0)
    verdicts = {o.check.name: (o.verdict, o.seen) for o in result.outcomes if o.check.name.startswith("coincidences")}
    assert len(verdicts) == 8 and all(verdict == "passed" for verdict, _ in verdicts.values()), verdicts
    assert result.count("failed") == 0
