"""The VISA back-end `hil`, through PyVISA alone."""

import pytest
import pyvisa
from pyvisa.constants import EventMechanism, EventType, StatusCode

LAB = """
[instruments.a]
model = "keithley-2450"
address = "GPIB0::24::INSTR"
[instruments.b]
model = "keithley-2612b"
address = "USB0::0x05E6::0x2612::1234::INSTR"
[instruments.c]
model = "keysight-34465a"
[wires]
"a.1" = "x"
"c.hi" = "x"
[[parts]]
dut = "resistor:1e3"
between = ["x", "gnd"]
"""


@pytest.fixture
def manager(tmp_path):
    path = tmp_path / "lab.toml"
    path.write_text(LAB)
    manager = pyvisa.ResourceManager(f"{path}@hil")
    yield manager
    manager.close()


@pytest.fixture
def smu(manager):
    resource = manager.open_resource("GPIB::24", read_termination="\n", write_termination="\n")
    yield resource
    resource.close()


def test_resources_are_listed_and_open_under_any_spelling(manager):
    assert set(manager.list_resources()) == {
        "GPIB0::24::INSTR", "USB0::0x05E6::0x2612::1234::INSTR", "TCPIP0::c::inst0::INSTR",
    }  # fmt: skip
    assert manager.list_resources("GPIB?*") == ("GPIB0::24::INSTR",)
    for name, model in (("GPIB0::24", "2450"), ("usb0::0x05e6::0x2612::1234::INSTR", "2612B"), ("TCPIP::c", "34465A")):
        with manager.open_resource(name, write_termination="\n", read_termination="\n") as resource:
            assert model in resource.query("*IDN?")
    with pytest.raises(pyvisa.VisaIOError) as refused:
        manager.open_resource("GPIB0::25::INSTR")
    assert refused.value.error_code == StatusCode.error_resource_not_found


def test_one_file_is_one_laboratory_for_all_managers_of_the_process(manager, smu):
    other = pyvisa.ResourceManager(f"{manager.visalib.library_path}@hil")
    meter = other.open_resource("TCPIP::c", read_termination="\n", write_termination="\n")
    smu.write(":SOUR:VOLT 0.5;:SOUR:VOLT:ILIM 0.01;:OUTP ON")
    assert float(meter.query("READ?")) == pytest.approx(0.5, abs=1e-3)
    meter.close()


def test_end_of_message_needs_no_line_feed_and_blocks_are_read_whole(smu):
    smu.write_termination = ""
    smu.write(":SOUR:VOLT 0.5;:SOUR:VOLT:ILIM 0.01;:OUTP ON;:FORM REAL")
    smu.write(":READ? 'defbuffer1',SOUR,READ")
    data = smu.read_raw()
    assert data[:2] == b"#0" and len(data) == 2 + 16 + 1


def test_a_read_without_an_answer_times_out_at_once_and_is_noted(smu):
    smu.timeout = 60_000
    with pytest.raises(pyvisa.VisaIOError) as refused:
        smu.read()
    assert refused.value.error_code == StatusCode.error_timeout
    assert smu.query("SYST:ERR?").startswith("-420")
    smu.write("*IDN?")
    smu.write("*OPC?")
    assert smu.read() == "1"
    assert smu.query("SYST:ERR?").startswith("-410")


def test_device_clear_forgets_what_is_half_said(smu):
    smu.send_end = False
    smu.write_raw(b":SOUR:VOLT 5;:")
    smu.clear()
    smu.send_end = True
    assert smu.query("*OPC?") == "1"
    smu.write("*IDN?")
    smu.clear()
    assert smu.query("*OPC?") == "1"


def test_service_is_requested_queued_and_handled(smu):
    handled = []
    handler = smu.wrap_handler(lambda resource, event, user: handled.append(event.event_type))
    smu.install_handler(EventType.service_request, handler)
    smu.enable_event(EventType.service_request, EventMechanism.queue)
    smu.write("*CLS;*SRE 4")
    assert smu.read_stb() == 0
    smu.write("NONSENSE")
    assert smu.wait_on_event(EventType.service_request, 1000).event.event_type == EventType.service_request
    assert handled == [EventType.service_request]
    assert smu.read_stb() == 4 + 64
    assert smu.read_stb() == 4
    smu.disable_event(EventType.service_request, EventMechanism.queue)
    with pytest.raises(pyvisa.VisaIOError):
        smu.wait_on_event(EventType.service_request, 1000)


def test_message_available_and_triggers_and_reads_in_pieces(smu, manager):
    smu.write("*IDN?")
    assert smu.read_stb() & 16
    assert smu.read_bytes(8) == b"KEITHLEY"
    assert smu.read().startswith(" INSTRUMENTS")
    meter = manager.open_resource("TCPIP::c", read_termination="\n", write_termination="\n")
    meter.write("TRIG:SOUR BUS;:INIT")
    meter.assert_trigger()
    assert float(meter.query("FETC?")) == pytest.approx(0.0, abs=1e-3)
    meter.close()


def test_lua_boxes_answer_their_prints_one_after_the_other(manager):
    box = manager.open_resource("USB::0x05E6::0x2612::1234", read_termination="\n", write_termination="\n")
    box.write("for i=1,3 do print(i) end")
    assert [box.read() for _ in range(3)] == ["1.00000e+00", "2.00000e+00", "3.00000e+00"]
    box.close()


def test_a_file_that_is_none_says_what_is_wrong(tmp_path):
    path = tmp_path / "lab.toml"
    path.write_text('[instruments.a]\nmodel = "keithley-9999"\n')
    with pytest.raises(ValueError, match="'keithley-9999' is not a rack instrument; did you mean"):
        pyvisa.ResourceManager(f"{path}@hil")
    path.write_text(LAB.replace('"a.1"', '"z.1"'))
    with pytest.raises(ValueError, match="no instrument 'z'"):
        pyvisa.ResourceManager(f"{path}@hil")


def test_scripts_that_name_no_library_find_the_laboratory_by_pyvisas_own_variable(tmp_path, monkeypatch):
    path = tmp_path / "lab.toml"
    path.write_text(LAB)
    monkeypatch.setenv("PYVISA_LIBRARY", f"{path}@hil")
    manager = pyvisa.ResourceManager()
    assert "GPIB0::24::INSTR" in manager.list_resources()
    manager.close()
