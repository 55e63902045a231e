"""A rack instrument from one file outside the package: on a bench, as a virtual twin, refused where nobody named it."""

import ast
import re
import sys
import threading
import tomllib
from importlib import resources
from pathlib import Path

import pytest
import pyvisa

import hil
from drivers.errors import ProtocolViolation
from drivers.instruments.opening import check_identity
from drivers.loopback import Loopback
from drivers.rack.rig import Rig
from emulator.rack.rack import VirtualRack
from firmware_specs.racks import Rack
from firmware_specs.racks.wiring import Instrument
from firmware_specs.registry import KINDS, lookup, modules
from hil.counterparts.opening.emulate_lab import open_instrument

FILE = Path(__file__).parents[2] / "docs/examples/own_meter.py"


@pytest.fixture
def own_meter(monkeypatch):
    monkeypatch.setattr(lookup, "_registered", {kind: {} for kind in KINDS})
    monkeypatch.setattr(modules, "_trusted", set())
    monkeypatch.syspath_prepend(str(FILE.parent))
    yield "own_meter"
    sys.modules.pop("own_meter", None)


def rack_with(model):
    text = (resources.files("firmware_specs.racks") / "keithley-8x8.toml").read_text()
    document = tomllib.loads(text)
    document["instruments"]["meter"]["model"] = model
    document["timing"] = {"nplc": 1.0, "meter_nplc": 1.0}
    return Rack.model_validate(document)


def test_it_is_short_and_imports_public_names_only():
    text = FILE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    imported = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ImportFrom)]
    names = [part for n in imported for part in [*n.module.split("."), *(a.name for a in n.names)]]
    assert names and not any(name.startswith("_") for name in names)


def test_the_page_shows_the_file_as_it_is():
    page = (FILE.parents[1] / "how-to" / "new-instrument.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert FILE.read_text(encoding="utf-8").endswith(code)


def test_it_measures_beside_shipped_instruments_on_a_virtual_bench(own_meter):
    hil.plugin(own_meter)
    rack = rack_with("acme-dmm7")
    virtual = VirtualRack(rack)
    with Rig(rack, lambda box, spec, _: Loopback(virtual.feed(box), box)) as rig:
        meter = rig.boxes["meter"]
        meter.configure(range_v=1.0, nplc=1.0)
        rig.route({("smu1.1", "row2"), ("meter.hi", "col3")})  # nothing else is on: col3 floats at the level
        rig.outputs.source_volts("smu1.1", range_v=0.2, measure_a=1e-3)
        rig.outputs.set_level("smu1.1", 0.05)
        sourced = rig.measure("smu1.1").volts
        assert meter.measure() == pytest.approx(0.05, abs=5e-4)
        assert meter.measure() == pytest.approx(sourced, abs=5e-4)
        rig.rest()
        with pytest.raises(ProtocolViolation, match="reads back"):
            meter.configure(range_v=1000.0, nplc=1.0)
        assert any("range" in error.lower() for error in meter.errors())
    assert virtual.bench.outputs_on() == []


def test_it_is_told_from_others_by_its_own_pattern(own_meter):
    hil.plugin(own_meter)
    spec = Instrument(model="acme-dmm7")
    for answer in ("ACME,DMM7,1,1", "Acme Inc,DMM7-B,2,1.1"):
        check_identity(answer, "meter", spec)
    with pytest.raises(ProtocolViolation, match="it is a keithley-daq6510"):
        check_identity("KEITHLEY INSTRUMENTS,MODEL DAQ6510,1,1.7", "meter", spec)


def test_its_twin_is_served_by_its_place_for_any_visa_library(own_meter):
    server = open_instrument(f"{own_meter}:DMM7", "resistor:1e3")
    worker = threading.Thread(target=server.run)
    worker.start()
    try:
        (address,) = server.addresses.values()
        box = pyvisa.ResourceManager("@py").open_resource(address, read_termination="\n", write_termination="\n")
        assert box.query("*IDN?") == "ACME,DMM7,1000001,1.0"
        assert abs(float(box.query("VAL?"))) < 1e-3
        assert box.query("VOLT:RANG?;CYCL?") == "10;1"
        box.close()
    finally:
        server.stop()
        worker.join(30)


def test_a_file_alone_brings_no_instrument_and_a_wrong_name_says_what_is_close(own_meter):
    with pytest.raises(ValueError, match="if you trust it, add --plugin own_meter"):
        Instrument(model="own_meter:DMM7")
    assert "own_meter" not in sys.modules
    with pytest.raises(ValueError, match="did you mean keithley-2450"):
        Instrument(model="keithley-2455")
    hil.trust("json")
    with pytest.raises(ValueError, match=r"is a function, an instrument is a firmware_specs.racks.Model"):
        Instrument(model="json:loads")


def test_a_stale_installation_is_said_in_a_sentence(monkeypatch):
    shipped = dict(lookup._shipped("instruments"))
    shipped.pop("keithley-2450")
    monkeypatch.setattr(lookup, "_shipped", lambda kind: shipped)
    with pytest.raises(ValueError, match=r"'keithley-2450' is in this checkout, but not in its installation.*again"):
        Instrument(model="keithley-2450")
