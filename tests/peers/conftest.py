"""A laboratory of one instrument, and the walks over other people's drivers (`walks.py`) as fixtures."""

import importlib.util
import sys
import warnings
from pathlib import Path

import pytest


def _beside(name):
    spec = importlib.util.spec_from_file_location(f"peers_{name}", Path(__file__).with_name(f"{name}.py"))
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


walks = _beside("walks")
WIRE = walks.WIRE
LAB = """
[instruments.box]
model = "{model}"
address = "GPIB0::5::INSTR"
{extra}
[wires]
"box.{terminal}" = "a"

[[parts]]
dut = "{dut}"
between = ["a", "gnd"]
"""


@pytest.fixture(autouse=True)
def wire(monkeypatch):
    """Listens to what goes over the wires of the laboratory."""
    from emulator.visa.library import HilVisaLibrary

    written, said = HilVisaLibrary.write, HilVisaLibrary.read

    def write(library, session, data):
        WIRE.write(bytes(data).decode("latin-1"))
        return written(library, session, data)

    def read(library, session, count):
        data, status = said(library, session, count)
        WIRE.read(bytes(data).decode("latin-1"))
        return data, status

    monkeypatch.setattr(HilVisaLibrary, "write", write)
    monkeypatch.setattr(HilVisaLibrary, "read", read)
    return WIRE


@pytest.fixture
def lab(tmp_path):
    """Writes a laboratory with one instrument and one part, and gives the name of its VISA library."""

    def write(model, dut="resistor:1e3", terminal=None, extra=""):
        from firmware_specs.racks import facts

        channels = facts(model).channels
        path = tmp_path / f"{model}.toml"
        path.write_text(LAB.format(model=model, dut=dut, extra=extra, terminal=terminal or (channels or ("hi",))[0]))
        return f"{path}@hil"

    return write


@pytest.fixture
def qcodes():
    """The walk over a QCoDeS driver; every instrument is closed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("qcodes", reason="QCoDeS is not installed: pip install crossbar-hil[peers]")
        from qcodes.instrument import Instrument
    yield walks.walk_qcodes
    Instrument.close_all()


@pytest.fixture
def pymeasure():
    """The walk over a PyMeasure driver."""
    return walks.walk_pymeasure


@pytest.fixture
def scpi_errors():
    """What is in the error queue of a SCPI instrument, emptied."""

    def of(ask):
        def errors():
            found = []
            while int((entry := ask("SYST:ERR?").strip()).split(",")[0]):
                found.append(entry)
            return found

        return errors

    return of
