"""The maker's own package, tm_devices, on the virtual 2450 in its TSP command set and on a 2600B: its whole tree.

`make peers` installs it in a folder of its own: with it comes `gpib_ctypes`, which makes PyVISA warn wherever it can be
imported and there is no GPIB library.
"""

import logging
import sys
from pathlib import Path

import pytest

LEFT_OUT = (
    "digio", "tsplink", "tspnet", "lan", "lanin", "lanout", "digin", "digout", "tsplinkin", "tsplinkout", "timer",
    "blender", "serial",
)  # fmt: skip
"""What the page leaves out: lines, TSP-Link, the network's own settings, timers and blenders of triggers."""
LAB = """
[instruments.box]
model = "{model}"
address = "TCPIP0::192.168.0.5::inst0::INSTR"
[wires]
"box.{channel}" = "a"
[[parts]]
dut = "resistor:1e3"
between = ["a", "gnd"]
"""


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Opens a source meter of tm_devices' on a virtual one; its log goes into the test's folder."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(sys.prefix) / "tm_devices")])
    package = pytest.importorskip("tm_devices", reason="tm_devices is not installed: see `make peers`")
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)  # it logs every byte
    monkeypatch.chdir(tmp_path)
    manager = package.DeviceManager(verbose=False)

    def open_as(model, channel):
        path = tmp_path / "lab.toml"
        path.write_text(LAB.format(model=model, channel=channel))
        manager.visa_library = f"{path}@hil"
        return manager.add_smu("192.168.0.5")

    yield open_as
    manager.close()


def attributes(node, path, key):
    """Every attribute of a tree of commands: its owner, its name, its path."""
    for name in sorted(dir(type(node))):
        found = getattr(type(node), name)
        if name.startswith("_") or name in LEFT_OUT or not isinstance(found, property) or "var" in name.lower():
            continue
        if name in ("password", "delaylist"):  # cannot be read, is a table
            continue
        try:
            value = getattr(node, name)
        except Exception as error:
            yield node, name, f"{path}.{name}", error
            continue
        if isinstance(value, dict):
            inner = "a" if name == "smu" and key == "a" else 1
            try:
                value = value[inner]
            except Exception as error:
                yield node, name, f"{path}.{name}[1]", error
                continue
            path_ = f"{path}.{name}[{inner}]"
            if isinstance(value, str):
                yield None, name, path_, value
            else:
                yield from attributes(value, path_, key)
        elif type(value).__module__.startswith("tm_devices"):
            yield from attributes(value, f"{path}.{name}", key)
        else:
            yield node, name, f"{path}.{name}", value


@pytest.mark.parametrize(
    ("model", "channel", "least"), [("keithley-2450-tsp", "1", 75), ("keithley-2636b", "a", 295)]
)  # fmt: skip
def test_its_whole_tree_is_read_and_set_to_what_it_is(opened, model, channel, least):
    smu = opened(model, channel)
    read, failed_read, kept, failed_set = [], {}, [], {}
    for owner, name, path, value in attributes(smu.commands, "", channel):
        wrong = smu.get_errors()[1]
        if isinstance(value, Exception) or wrong or value in (None, "nil"):
            failed_read[path] = (value, wrong)
            continue
        read.append(path)
        if owner is None or getattr(type(owner), name).fset is None:
            continue
        setattr(owner, name, f"'{value}'" if path.endswith(("description", "activebuffer")) else value)
        if smu.get_errors()[1] or getattr(owner, name) != value:
            failed_set[path] = value
        else:
            kept.append(path)
    print(f"tm_devices {type(smu).__name__} read {len(read)}/{len(read) + len(failed_read)}, "
          f"set {len(kept)}/{len(kept) + len(failed_set)}")  # fmt: skip
    nil = {".smu.source.vlimit.tripped"} if model.endswith("tsp") else set()  # of the source that is not in use
    assert (set(failed_read), failed_set) == (nil, {})
    assert len(read) >= least


def test_it_measures_a_resistor_and_sweeps(opened):
    smu = opened("keithley-2450-tsp", "1")
    commands = smu.commands
    commands.smu.source.func = commands.smu.FUNC_DC_VOLTAGE
    commands.smu.source.ilimit.level = 0.01
    commands.smu.source.level = 0.5
    commands.smu.source.output = commands.smu.ON
    assert float(commands.smu.measure.read("defbuffer1")) == pytest.approx(5e-4, rel=2e-3)
    smu.write("smu.source.sweeplinear('ramp', 0, 1, 11, 0.001) trigger.model.initiate() waitcomplete()")
    found = smu.get_buffers("defbuffer1", "defbuffer1.sourcevalues", "defbuffer1.units")
    assert found["defbuffer1"] == pytest.approx([i / 1e4 for i in range(11)], abs=2e-6)
    assert found["defbuffer1.sourcevalues"] == pytest.approx([i / 10 for i in range(11)], abs=1e-3)
    assert set(found["defbuffer1.units"]) == {"Amp DC"}
    assert commands.smu.source.output == "smu.OFF"
    assert smu.get_errors() == (0, ())
