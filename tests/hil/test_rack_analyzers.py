"""Semiconductor analyzers as sources and meters of a rack, and a temperature stage: drivers against their twins."""

import tomllib
from importlib import resources

import numpy as np
import pytest

from drivers.errors import DeviceFault, NotSettled, OutOfRange, OutputsUncertain
from drivers.instruments.fence import Allowed, Fence
from drivers.loopback import Loopback
from drivers.rack import cells, stage
from drivers.rack.rig import Rig
from emulator.rack.rack import VirtualRack
from firmware_specs.racks import Rack
from hil.commands.evaluate import _let_pass
from hil.counterparts.rack import RackBench

ANALYZERS = {"keysight-b1500a": ("3", "4"), "keithley-4200a": ("1", "2")}


def document(text="keithley-8x8"):
    return tomllib.loads((resources.files("firmware_specs.racks") / f"{text}.toml").read_text())


def with_analyzer(model):
    """The small Keithley rack with an analyzer in the place of its two source meters."""
    force, sense = (f"analyzer.{channel}" for channel in ANALYZERS[model])
    rack = document()
    rack["instruments"] = {"analyzer": {"model": model}} | {
        name: spec for name, spec in rack["instruments"].items() if not name.startswith("smu")
    }
    rack["roles"] |= {"force": force, "sense": sense}
    rack["wiring"]["matrix"]["rows"] |= {"A": force, "B": sense}
    return Rack.model_validate(rack)


def with_stage(**dut):
    rack = document()
    rack["instruments"]["oven"] = {"model": "lakeshore-335"}
    rack["roles"]["stage"] = "oven"
    rack["dut"] |= dut
    return Rack.model_validate(rack)


def opened(rack, virtual=None):
    virtual = virtual or VirtualRack(rack, log_commands=True)
    return Rig(rack, lambda box, spec, _: Loopback(virtual.feed(box), box)), virtual


def sent(virtual, box):
    return [event.text for event in virtual.bench.log.of("command") if event.subject == box]


@pytest.mark.parametrize("model", ANALYZERS)
def test_an_analyzer_forces_and_senses_a_cell_as_its_accuracy_says(model):
    rack = with_analyzer(model)
    rig, virtual = opened(rack)
    with rig:
        curve = cells.curve(rig, 2, 3, [-0.1, 0.05, 0.2])
        true_s = virtual.bench.crossbar.g_s[2, 3]
        assert np.asarray(curve.amps) / np.asarray(curve.volts) == pytest.approx(true_s, rel=2e-2)
        for name, box in rig.boxes.items():
            assert box.errors() == [], name
    assert virtual.bench.outputs_on() == []
    assert virtual.bench.log.of("error") == []
    levels = [event.value for event in virtual.bench.log.of("level")]
    assert max(map(abs, levels)) <= 0.2 + 1e-9


@pytest.mark.parametrize("model", ANALYZERS)
def test_an_analyzer_never_is_on_without_its_compliance(model):
    rig, virtual = opened(with_analyzer(model))
    force = f"analyzer.{ANALYZERS[model][0]}"
    with rig:
        smu = rig.outputs.smu(force)
        with pytest.raises(OutOfRange, match="no compliance"):
            smu.output(True)
        with pytest.raises(OutOfRange, match=r"beyond 0.001 A"):
            smu.source_volts(range_v=0.2, limit_a=0.1, measure_a=1e-3, nplc=1.0)
            smu.output(True)
        assert virtual.bench.outputs_on() == []
        smu.source_volts(range_v=0.2, limit_a=1e-4, measure_a=1e-3, nplc=1.0)
        smu.output(True)
        on = virtual.bench.ports[force]
        assert (on.volts, on.limit_a) == (pytest.approx(0.0, abs=1e-3), 1e-4)
        with pytest.raises(OutOfRange, match="while it is off"):
            smu.source_volts(range_v=0.2, limit_a=1e-4, measure_a=1e-3, nplc=1.0)
        with pytest.raises(OutOfRange, match=r"beyond 0.2 V"):
            smu.set_level(0.5)


@pytest.mark.parametrize("model", ANALYZERS)
def test_a_compliance_that_acts_trips_the_rack(model):
    rack = with_analyzer(model)
    rig, virtual = opened(rack.model_copy(update={"limits": rack.limits.model_copy(update={"current_a": 1e-9})}))
    with rig, pytest.raises(DeviceFault, match=r"protection acted|is marked V"):
        cells.curve(rig, 2, 3, [0.2])
    assert virtual.bench.outputs_on() == []


def test_outputs_left_on_by_somebody_else_are_found_and_switched_off():
    rack = with_analyzer("keysight-b1500a")
    virtual = VirtualRack(rack)
    for line in (b"CN 2\n", b"DV 2,12,1.5,1e-3\n"):
        virtual.feed("analyzer")(line)
    assert virtual.bench.outputs_on() == ["analyzer.2"]
    rig, _ = opened(rack, virtual)
    with rig:
        assert rig.left_on == ["analyzer.2"]
        assert virtual.bench.outputs_on() == []


def test_a_4200_is_switched_off_before_anything_is_asked_of_it():
    rack = with_analyzer("keithley-4200a")
    virtual = VirtualRack(rack)
    virtual.feed("analyzer")(b"US;DV2,1,5,1e-3\0")
    assert virtual.bench.outputs_on() == ["analyzer.2"]
    rig, _ = opened(rack, virtual)
    with rig:
        assert virtual.bench.outputs_on() == []


def test_an_analyzer_that_stops_answering_is_named_with_what_may_be_on():
    rack = with_analyzer("keithley-4200a")
    rig, virtual = opened(rack)
    wire = virtual.boxes["analyzer"]
    with pytest.raises(OutputsUncertain, match=r"analyzer.*may still be on.*no watchdog"), rig:
        rig.outputs.source_volts("analyzer.1", range_v=0.2, measure_a=1e-3)
        wire.feed = lambda data: b""


@pytest.mark.parametrize(
    ("line", "why"),
    [("DV 1,12,0.5,1e-3", "beyond 0.2 V"), ("DV1,1,0.1,1", "beyond 0.001 A"), ("DV 1,0,0.1,1e-3", "never automatic"),
     ("DV 1,12,0.1", "without a compliance"), ("DI 1,15,1,2", "beyond"), ("US;DV1,1,9,1e-3", "beyond 0.2 V"),
     ("WV 1,1,12,0,5,10", "does not know"), ("PV 1,12,0,5", "does not know"), ("DV 1,12,nan,1e-3", "beyond"),
     ("DV 1,12,five,1e-3", "not a number"), ("SETP 1,400", "may be set to"), ("SETP 1,hot", "may be set to"),
     ("TDV 1,12,5", "does not know"), ("dv 1,12,0.5,1e-3", "beyond 0.2 V")],
)  # fmt: skip
def test_the_fence_reads_the_commands_of_analyzers_and_stages(line, why):
    fence = Fence("it", Allowed(0.2, 1e-4, 2.0, 1e-3, (273.15, 358.15)))
    with pytest.raises(OutOfRange, match=why):
        fence.check(line)


def test_the_fence_lets_through_what_is_within_and_what_forces_nothing():
    fence = Fence("it", Allowed(0.2, 1e-4, 2.0, 1e-3, (273.15, 358.15)))
    for line in ("DV 1,12,0.2,1e-3", "US;DV1,1,0.1,0.001", "US;DV1", "TI 1,-15", "AIT 0,2,1", "FMT 1,0", "RANGE 1,2",
                 "SETP 1,330.000000", "*LRN? 0", "CN 1", "DZ"):  # fmt: skip
        fence.check(line)


def test_the_stage_heats_the_cells_and_is_off_at_the_end():
    rig, virtual = opened(with_stage(temperature_coefficient_per_k=2e-3, threshold_v=5.0))
    with rig:
        assert stage.temperature_k(rig) == pytest.approx(296.15, abs=0.01)
        cold = cells.curve(rig, 2, 3, [0.2]).amps[0]
        rig.rest()
        assert stage.bring_to(rig, 330.0) == pytest.approx(330.0, abs=0.2)
        hot = cells.curve(rig, 2, 3, [0.2]).amps[0]
        assert hot / cold == pytest.approx(1 + 2e-3 * (330 - 296.15), rel=5e-3)
        for wrong in (200.0, 500.0, float("nan")):
            with pytest.raises(OutOfRange, match=r"273.15 \.\. 358.15 K"):
                stage.bring_to(rig, wrong)
        with pytest.raises(NotSettled, match="whether it can cool"):
            stage.bring_to(rig, 280.0, longest_s=60.0)
    assert sent(virtual, "oven")[-2:] == ["RANGE 1,0", "RANGE? 1"]


def test_an_evaluation_heats_the_rack_and_its_provenance_says_how_warm_it_is():
    rig, _ = opened(with_stage())
    with RackBench(rig, "rack:test") as bench:
        assert bench.describe()["temperature_k"] == pytest.approx(296.15, abs=0.01)
        _let_pass(bench, 3.0, 320.0)
        assert bench.describe()["temperature_k"] == pytest.approx(320.0, abs=0.3)


def test_a_rack_without_a_stage_says_so():
    rig, _ = opened(Rack.model_validate(document()))
    with rig:
        assert stage.temperature_k(rig) is None
        with pytest.raises(OutOfRange, match="no temperature stage"):
            stage.bring_to(rig, 300.0)
