"""Byte-exact dialogues with every instrument, from the forms in the makers' manuals; all of each must be used."""

from contextlib import contextmanager

import numpy as np
import pytest

from drivers.errors import DeviceFault, OutOfRange, ProtocolViolation
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.fence import Allowed, Fence
from drivers.instruments.keithley707b import Keithley707B
from drivers.instruments.keithley2400 import Keithley2400
from drivers.instruments.keithley2450 import Keithley2450
from drivers.instruments.keithley2600 import Keithley2600
from drivers.instruments.keysight34980a import Keysight34980A
from drivers.instruments.keysight_b2900 import KeysightB2900
from drivers.instruments.meters import KeithleyDAQ6510, Keysight34465A
from drivers.recording import Entry, Replay
from firmware_specs.racks import facts

ALLOWED = Allowed(level_v=0.2, level_a=1e-4, limit_v=2.0, limit_a=1e-3)


@contextmanager
def dialogue(*pairs):
    """A session in which exactly these lines are exchanged; a reply of None means none, bytes go as they are."""
    entries = []
    for sent, reply in pairs:
        if sent is not None:
            entries.append(Entry(0.0, ">", sent.encode() + b"\n"))
        if reply is not None:
            entries.append(Entry(0.0, "<", reply if isinstance(reply, bytes) else reply.encode() + b"\n"))
    wire = Replay(tuple(entries))
    yield Dialogue(wire, Fence("test", ALLOWED))
    wire.close()


START_2400 = (":FORMAT:ELEMENTS VOLTAGE, CURRENT, RESISTANCE, TIME, STATUS", None)
SOURCE_2400 = (
    (":SOURCE:FUNCTION VOLT", None),
    (":SENS:FUNC:ALL", None),
    (":SOURCE:VOLTAGE:RANGE 0.2", None),
    (":SOURCE:VOLTAGE 0", None),
    (":SENSE:CURRENT:PROTECTION 0.0001", None),
    (":SENSE:CURRENT:PROTECTION?", "1.000000E-04"),
    (":SENSE:CURRENT:RANGE 1e-05", None),
    (":SENSE:CURRENT:RANGE?", "1.050000E-05"),
    (":SENSE:CURRENT:NPLCYCLES 1", None),
    (":SENSE:CURRENT:NPLCYCLES?", "1.00"),
    (":SENSE:AVERAGE 0", None),
)


def test_2400_sources_volts_with_compliance_set_before_the_output():
    with dialogue(
        START_2400,
        *SOURCE_2400,
        ("OUTPUT 1", None),
        ("OUTPUT?", "1"),
        (":SOURCE:VOLTAGE 0.1", None),
        ("*ESE 1;:READ?;*ESE?", "+1.000190E-01,+2.310000E-06,+9.910000E+37,+8.413700E+02,+4.000000E+00;1"),
        (":SOURCE:VOLTAGE 0", None),
        ("OUTPUT 0", None),
        ("OUTPUT?", "0"),
        ("SYST:ERR?", '-113,"Undefined header"'),
        ("SYST:ERR?", '0,"No error"'),
    ) as session:
        box = Keithley2400(session, "smu")
        smu = box.channels["1"]
        smu.source_volts(range_v=0.2, limit_a=1e-4, measure_a=1e-5, nplc=1)
        smu.output(True)
        smu.set_level(0.1)
        seen = smu.measure()
        assert (seen.volts, seen.amps, seen.limited) == (0.100019, 2.31e-6, False)
        smu.set_level(0.0)
        smu.output(False)
        assert box.errors() == ['-113,"Undefined header"']


def test_2400_reports_the_compliance_bit_of_its_status_word():
    with dialogue(
        START_2400,
        *SOURCE_2400,
        ("OUTPUT 1", None),
        ("OUTPUT?", "1"),
        ("*ESE 1;:READ?;*ESE?", "1E-1,1E-4,9.91E37,1,8;1"),
    ) as session:
        box = Keithley2400(session, "smu")
        smu = box.channels["1"]
        smu.source_volts(range_v=0.2, limit_a=1e-4, measure_a=1e-5, nplc=1)
        smu.output(True)
        assert smu.measure().limited


def test_2450_uses_its_own_command_set_and_reads_source_and_value_together():
    with dialogue(
        ("*LANG?", "SCPI"),
        ("*RST", None),
        ("*CLS", None),
        ("*OPC?", "1"),
        (":SOUR:FUNC VOLT", None),
        (':SENS:FUNC "CURR"', None),
        (":SOUR:VOLT:RANG:AUTO 0;:SOUR:VOLT:RANG 0.2", None),
        (":SOUR:VOLT:LEV 0", None),
        (":SOUR:VOLT:ILIM 0.0001", None),
        (":SOUR:VOLT:ILIM?", "1.000000E-04"),
        (":SENS:CURR:RANG:AUTO 0;:SENS:CURR:RANG 1e-05", None),
        (":SENS:CURR:RANG?", "1E-05"),
        (":SENS:CURR:NPLC 0.1", None),
        (":SENS:CURR:NPLC?", "0.1"),
        (":SOUR:VOLT:READ:BACK ON", None),
        ("OUTPUT ON", None),
        ("OUTPUT?", "1"),
        (":SOUR:VOLT:LEV 0.2", None),
        (':READ? "defbuffer1",SOUR,READ', "2.000113E-01,3.124000E-06"),
        (":SOUR:VOLT:ILIM:TRIP?", "0"),
        ("SYST:ERR?", '-109,"Missing parameter;1;2015/05/06 12:55:33.648"'),
        ("SYST:ERR?", '0,"No error;0;0 0"'),
    ) as session:
        box = Keithley2450(session, "smu")
        box.reset()
        smu = box.channels["1"]
        smu.source_volts(range_v=0.2, limit_a=1e-4, measure_a=1e-5, nplc=0.1)
        smu.output(True)
        smu.set_level(0.2)
        assert smu.measure().amps == 3.124e-6
        assert box.errors() == ['-109,"Missing parameter;1;2015/05/06 12:55:33.648"']


def test_2450_in_another_command_set_is_refused():
    with dialogue(("*LANG?", "TSP")) as session, pytest.raises(ProtocolViolation, match=r"TSP.*SCPI is needed"):
        Keithley2450(session, "smu").reset()


SOURCE_2600 = (
    ("smua.source.func=1", None),
    ("smua.source.rangev=0.2", None),
    ("print(smua.source.rangev)", "2.00000e-01"),
    ("smua.source.levelv=0", None),
    ("print(smua.source.levelv)", "0.00000e+00"),
    ("smua.source.limiti=2.5e-07", None),
    ("print(smua.source.limiti)", "2.50000e-07"),
    ("smua.measure.rangei=1e-07", None),
    ("print(smua.measure.rangei)", "1.00000e-07"),
    ("smua.measure.nplc=0.1", None),
    ("print(smua.measure.nplc)", "1.00000e-01"),
    ("smua.measure.autozero=1", None),
    ("print(smua.measure.autozero)", "1.00000e+00"),
)


def test_2600_keeps_nanoampere_compliances_that_six_decimals_would_lose():
    with dialogue(
        *SOURCE_2600,
        ("smua.source.output=1", None),
        ("print(smua.source.output)", "1.00000e+00"),
        ("smua.source.levelv=0.0375", None),
        (
            "print(1,smua.measure.iv()) print(status.measurement.instrument.smua.condition)",
            b"1.00000e+00\t1.23456e-08\t3.75012e-02\n2.00000e+00\n",
        ),
        ("print(errorqueue.count)", "1.00000e+00"),
        ("print(errorqueue.next())", "-2.85000e+02\tTSP Syntax error at line 1\t2.00000e+01\t1.00000e+00"),
        ("print(errorqueue.count)", "0.00000e+00"),
    ) as session:
        box = Keithley2600(session, "smu")
        smu = box.channels["a"]
        smu.source_volts(range_v=0.2, limit_a=2.5e-7, measure_a=1e-7, nplc=0.1)
        smu.output(True)
        smu.set_level(0.0375)
        seen = smu.measure()
        assert (seen.volts, seen.amps, seen.limited) == (3.75012e-2, 1.23456e-8, True)
        assert box.errors() == ["-285 TSP Syntax error at line 1"]


def test_2600_sweep_reads_an_indefinite_block_with_newlines_in_it():
    amps = np.array([0x0A0A0A0A, 0x0A0A0A0B], "<u4").tobytes()
    with dialogue(
        *SOURCE_2600,
        ("smua.source.output=1", None),
        ("print(smua.source.output)", "1.00000e+00"),
        ("smua.nvbuffer1.clear()", None),
        ("format.data=format.REAL32 format.byteorder=format.LITTLEENDIAN", None),
        ("print(format.byteorder)", "1.00000e+00"),
        ("smua.source.levelv=0.1 smua.measure.i(smua.nvbuffer1)", None),
        ("smua.source.levelv=0.2 smua.measure.i(smua.nvbuffer1)", None),
        ("smua.source.levelv=0", None),
        ("printbuffer(1,2,smua.nvbuffer1.readings)", b"#0" + amps + b"\n"),
        ("format.data=format.ASCII", None),
        ("*OPC?", "1"),
    ) as session:
        smu = Keithley2600(session, "smu").channels["a"]
        smu.source_volts(range_v=0.2, limit_a=2.5e-7, measure_a=1e-7, nplc=0.1)
        smu.output(True)
        _, got = smu.sweep([0.1, 0.2])
        assert got.astype("<f4").tobytes() == amps


def test_2600_times_its_pulses_itself():
    one = "smua.source.levelv=0.15 delay(0.0001) smua.source.levelv=0 delay(0.0001)"
    with dialogue(
        *SOURCE_2600,
        ("smua.source.output=1", None),
        ("print(smua.source.output)", "1.00000e+00"),
        (f"{one} {one}", None),
        ("*OPC?", "1"),
    ) as session:
        smu = Keithley2600(session, "smu").channels["a"]
        smu.source_volts(range_v=0.2, limit_a=2.5e-7, measure_a=1e-7, nplc=0.1)
        smu.output(True)
        smu.pulse(0.15, 1e-4, 2)


OFF_2600 = "smu{0}.source.levelv=0 smu{0}.source.leveli=0 smu{0}.source.output=0"


def test_2600_watches_its_host_while_an_output_is_on():
    body = f"{OFF_2600.format('a')} {OFF_2600.format('b')} hil_tripped=1"
    with dialogue(
        *SOURCE_2600,
        ("hil_watch_s=2", None),
        ("print(hil_watch_s)", "2.00000e+00"),
        (f"function hil_watch() if not trigger.wait(hil_watch_s) then {body} end end", None),
        ("hil_tripped=0 trigger.clear()", None),
        ("*OPC?", "1"),
        ("hil_watch()", None),
        ("*TRG\nsmua.source.output=1\nprint(hil_tripped)\nhil_watch()", "0.00000e+00"),
        ("*TRG\nprint(smua.source.output)\nhil_watch()", "1.00000e+00"),
        ("*TRG\nsmua.source.levelv=0.1\nprint(hil_tripped)\nhil_watch()", "0.00000e+00"),
        (
            "*TRG\nprint(1,smua.measure.iv()) print(status.measurement.instrument.smua.condition)"
            " print(hil_tripped)\nhil_watch()",
            b"1.00000e+00\t1.0e-08\t1.0e-01\n0.00000e+00\n0.00000e+00\n",
        ),
        ("*TRG\nsmua.source.levelv=0\nprint(hil_tripped)\nhil_watch()", "1.00000e+00"),
        (f"*TRG\n{OFF_2600.format('a')}", None),
        (f"*TRG\n{OFF_2600.format('b')}", None),
        ("*TRG", None),
    ) as session:
        box = Keithley2600(session, "smu")
        assert box.watch(2.0)
        smu = box.channels["a"]
        smu.source_volts(range_v=0.2, limit_a=2.5e-7, measure_a=1e-7, nplc=0.1)
        smu.output(True)
        smu.set_level(0.1)
        assert smu.measure().volts == 0.1
        with pytest.raises(DeviceFault, match="switched its outputs off"):
            smu.set_level(0.0)
        box.safe()


SOURCE_B2900 = (
    (":SOUR2:FUNC:MODE VOLT", None),
    (":SOUR2:VOLT:RANG:AUTO 0", None),
    (":SOUR2:VOLT:RANG 0.2", None),
    (":SOUR2:VOLT:RANG?", "+2.000000000E-01"),
    (":SOUR2:VOLT 0", None),
    (":SENS2:CURR:PROT 0.0001", None),
    (":SENS2:CURR:PROT?", "+1.000000000E-04"),
    (":SENS2:CURR:RANG 1e-05", None),
    (":SENS2:CURR:RANG?", "+1.000000000E-05"),
    (":SENS2:CURR:NPLC 0.1", None),
    (":SENS2:CURR:NPLC?", "+1.000000000E-01"),
    (":OUTP2 1", None),
    (":OUTP2?", "1"),
)


def test_b2900_sets_the_byte_order_and_takes_a_definite_block():
    amps = np.array([1e-6, -2e-6], "<f8").tobytes()
    with dialogue(
        ("*RST", None),
        ("*CLS", None),
        ("*OPC?", "1"),
        (":OUTP1:ON:AUTO 0", None),
        (":OUTP2:ON:AUTO 0", None),
        (":FORM:ELEM:SENS VOLT,CURR", None),
        (":FORM:BORD SWAP", None),
        (":FORM:BORD?", "SWAP"),
        *SOURCE_B2900,
        (":SOUR2:VOLT 0.1", None),
        (":MEAS? (@2)", "+1.000120E-01,+1.234500E-06"),
        (":SENS2:CURR:PROT:TRIP?", "0"),
        (":SOUR2:VOLT:MODE LIST", None),
        (":SOUR2:LIST:VOLT 0.1,-0.2", None),
        (":TRIG2:COUN 2", None),
        (":INIT (@2)", None),
        ("*OPC?", "1"),
        (":FORM REAL,64", None),
        (":FETC:ARR:CURR? (@2)", b"#216" + amps + b"\n"),
        (":FORM ASC", None),
        (":SOUR2:VOLT:MODE FIX", None),
        ("*OPC?", "1"),
        (":SOUR2:VOLT 0", None),
        ("SYST:ERR?", '-222,"Data out of range"'),
        ("SYST:ERR?", '+0,"No error"'),
    ) as session:
        box = KeysightB2900(session, "smu")
        box.reset()
        smu = box.channels["2"]
        smu.source_volts(range_v=0.2, limit_a=1e-4, measure_a=1e-5, nplc=0.1)
        smu.output(True)
        smu.set_level(0.1)
        assert smu.measure().amps == 1.2345e-6
        _, got = smu.sweep([0.1, -0.2])
        assert got.tolist() == [1e-6, -2e-6]
        assert box.errors() == ['-222,"Data out of range"']


def test_b2900_times_its_pulses_itself():
    with dialogue(
        *SOURCE_B2900,
        (":SOUR2:FUNC:SHAP PULS", None),
        (":SOUR2:PULS:WIDT 0.0001", None),
        (":SOUR2:VOLT:TRIG 0.15", None),
        (":TRIG2:TIM 0.0002;:TRIG2:COUN 3", None),
        (":INIT (@2)", None),
        ("*OPC?", "1"),
        (":SOUR2:FUNC:SHAP DC", None),
    ) as session:
        smu = KeysightB2900(session, "smu").channels["2"]
        smu.source_volts(range_v=0.2, limit_a=1e-4, measure_a=1e-5, nplc=0.1)
        smu.output(True)
        smu.pulse(0.15, 1e-4, 3)


def test_707b_breaks_before_it_makes_and_lists_what_is_closed():
    with dialogue(
        (
            'print("hil",localnode.prompts,localnode.showerrors,channel~=nil and errorqueue~=nil)',
            "hil\t0.00000e+00\t0.00000e+00\ttrue",
        ),
        ("*RST", None),
        ("reset()", None),
        ("errorqueue.clear()", None),
        ("*OPC?", "1"),
        ('channel.open("allslots")', None),
        ("*OPC?", "1"),
        ('print(channel.getclose("allslots"))', "nil"),
        ("channel.connectrule=1", None),
        ("print(channel.connectrule)", "1.00000e+00"),
        ('channel.close("1A01,2D12")', None),
        ("*OPC?", "1"),
        ('print(channel.getclose("allslots"))', "1A01;2D12"),
        ('channel.open("1A01")', None),
        ("*OPC?", "1"),
        ("print(errorqueue.count)", "1.00000e+00"),
        ("print(errorqueue.next())", "1.11400e+03\tInvalid channel specified\t2.00000e+01\t1.00000e+00"),
        ("print(errorqueue.count)", "0.00000e+00"),
    ) as session:
        matrix = Keithley707B(session, "matrix")
        matrix.reset()
        matrix.close_channels(["1A01", "2D12"])
        assert matrix.closed() == {"1A01", "2D12"}
        matrix.open_channels(["1A01"])
        assert matrix.errors() == ["1114 Invalid channel specified"]


def test_34980a_switches_scans_and_drives():
    with dialogue(
        ("*RST", None),
        ("*CLS", None),
        ("*OPC?", "1"),
        ("ROUT:CLOS (@2104,2208)", None),
        ("*OPC?", "1"),
        ("ROUT:CLOS? (@2104,2208)", "1,0"),
        ("CONF:VOLT:DC 1,(@6001,6002)", None),
        ("SENS:VOLT:DC:NPLC 0.2,(@6001,6002)", None),
        ("SENS:VOLT:DC:ZERO:AUTO OFF,(@6001,6002)", None),
        ("ROUT:SCAN (@6001,6002)", None),
        ("*ESE 1;READ?;*ESE?", "+1.00000000E-01,-2.50000000E-02;1"),
        ("*ESE 2;READ?;*ESE?", "+1.00000000E-01,+9.90000000E+37;+2"),
        (":SOUR:VOLT 0,(@1001,1002)", None),
        ("OUTP ON,(@1001,1002)", None),
        ("OUTP? (@1001,1002)", "1,1"),
        (":SOUR:VOLT 0.15,(@1001);:SOUR:VOLT -0.1,(@1002)", None),
        ("OUTP? (@1001,1002,1003)", "1,1,0"),
        ("ROUT:OPEN:ALL", None),
        ("*OPC?", "1"),
        ("ROUT:CLOS? (@2104,2208)", "0,0"),
    ) as session:
        box = Keysight34980A(session, "mainframe")
        box.reset()
        box.close_channels(["2104", "2208"])
        assert box.closed() == {"2104"}
        box.configure(range_v=1.0, nplc=0.2)
        assert box.scan(["6001", "6002"]).tolist() == [0.1, -0.025]
        with pytest.raises(DeviceFault, match="sentinel"):
            box.scan(["6001", "6002"])
        box.set_volts({"1001": 0.0, "1002": 0.0})
        box.outputs(["1001", "1002"], True)
        box.set_volts({"1001": 0.15, "1002": -0.1})
        assert box.left_on(["1001", "1002", "1003"]) == ["1001", "1002"]
        box.open_all()


def test_daq6510_reads_in_a_fixed_range():
    with dialogue(
        (':SENS:FUNC "VOLT"', None),
        (":SENS:VOLT:RANG:AUTO 0;:SENS:VOLT:RANG 1", None),
        (":SENS:VOLT:RANG?", "1"),
        (":SENS:VOLT:NPLC 0.5", None),
        (":SENS:VOLT:NPLC?", "5.000000E-01"),
        ("*ESE 1;:READ?;*ESE?", "-1.25000E-02;1"),
    ) as session:
        meter = KeithleyDAQ6510(session, "meter")
        meter.configure(range_v=1.0, nplc=0.5)
        assert meter.measure() == -0.0125


def test_34465a_reads_in_a_fixed_range_without_autozero():
    with dialogue(
        ("CONF:VOLT:DC 1", None),
        ("SENS:VOLT:DC:NPLC 0.2", None),
        ("SENS:VOLT:DC:NPLC?", "+2.00000000E-01"),
        ("SENS:VOLT:DC:ZERO:AUTO OFF", None),
        ("*ESE 1;READ?;*ESE?", "+1.23400000E-01;1"),
        ("*ESE 2;READ?;*ESE?", "+9.91000000E+37;2"),
    ) as session:
        meter = Keysight34465A(session, "meter")
        meter.configure(range_v=1.0, nplc=0.2)
        assert meter.measure() == 0.1234
        with pytest.raises(DeviceFault, match="sentinel"):
            meter.measure()


@pytest.mark.parametrize(
    "line",
    [
        ":SOUR:VOLT 0.3",
        ":SOUR:VOLT:LEV nan",
        ":SOURCE:VOLTAGE inf",
        ":SOUR1:VOLT:TRIG 5",
        ":SOUR1:LIST:VOLT 0.1,0.2,0.3",
        ":SOUR:VOLT 0.1;VOLT 9",
        "*CLS;:SOUR:VOLT 9",
        "smua.source.levelv=0.1 smua.source.levelv=9",
        "smub.source.leveli = 1",
        "smua.source.limiti=0.1",
        ":SENS:CURR:PROT 0.1",
        ":SOUR:VOLT:ILIM 0.1",
        ":SOUR:VOLT:RANG:AUTO 1",
        "smua.source.autorangev=1",
        ":SOUR:VOLT:RANG 20",
        ":SOUR:VOLT MAX",
        ":SOUR:VOLT:SWEEP 1",
        ":SOUR:VOLT 0.25,(@1001)",
    ],
)
def test_the_fence_lets_no_set_point_beyond_the_limits_through(line):
    with dialogue() as session, pytest.raises(OutOfRange):
        session.write(line)


@pytest.mark.parametrize(
    "line",
    [
        ":SOUR:VOLT 0.2",
        "smua.source.levelv=-0.2 delay(1)",
        ":SOUR:VOLT:RANG 2",
        ":SENS:CURR:PROT 1e-3",
        ":OUTP1 1",
        "*RST",
    ],
)
def test_the_fence_lets_set_points_within_the_limits_through(line):
    with dialogue((line, None)) as session:
        session.write(line)


def test_an_output_without_a_compliance_stays_off():
    with dialogue() as session, pytest.raises(OutOfRange, match="no compliance"):
        Keithley2600(session, "smu").channels["a"].output(True)


def test_a_compliance_that_reads_back_differently_keeps_the_output_off():
    wrong = [*SOURCE_2600[:6], ("print(smua.source.limiti)", "1.00000e-04")]
    with dialogue(*wrong) as session:
        smu = Keithley2600(session, "smu").channels["a"]
        with pytest.raises(ProtocolViolation, match="reads back"):
            smu.source_volts(range_v=0.2, limit_a=2.5e-7, measure_a=1e-7, nplc=0.1)
        with pytest.raises(OutOfRange, match="no compliance"):
            smu.output(True)


def test_2600_that_prompts_is_made_quiet_and_reset_by_the_interface():
    met = 'print("hil",localnode.prompts,localnode.showerrors,smua~=nil and errorqueue~=nil and trigger~=nil)'
    with dialogue(
        (met, b"TSP>\nhil\t1.00000e+00\t0.00000e+00\ttrue\nTSP>\n"),
        ("localnode.prompts=0 localnode.showerrors=0", None),
        ('print("hil speaks")', "hil speaks"),
        (met, "hil\t0.00000e+00\t0.00000e+00\ttrue"),
        ("print(smua.source.output)", "1.00000e+00"),
        ("*RST", None),
        ("smua.reset()", None),
        ("errorqueue.clear()", None),
        ("*OPC?", "1"),
        ("timer.reset() delay(0.001) print(timer.measure.t())", "1.02000e-03"),
    ) as session:
        box = Keithley2600(session, "smu", facts=facts("keithley-2601b"))
        assert box.left_on() == ["a"]
        box.reset()


@pytest.mark.parametrize("answer", ["nil", "hil\t0.00000e+00\t0.00000e+00\tfalse"])
def test_2600_whose_objects_were_replaced_says_so_and_is_switched_off_by_the_interface(answer):
    met = 'print("hil",localnode.prompts,localnode.showerrors,smua~=nil and errorqueue~=nil and trigger~=nil)'
    again = [("localnode.prompts=0 localnode.showerrors=0", None), ('print("hil speaks")', "hil speaks"), (met, answer)]
    with dialogue(
        (met, answer),
        *(again if answer == "nil" else []),
        ("endscript", None),
        (OFF_2600.format("a"), None),
        ("*RST", None),
    ) as session:
        box = Keithley2600(session, "smu", facts=facts("keithley-2601b"))
        with pytest.raises(ProtocolViolation, match="in the place of smua"):
            box.left_on()
        box.safe()
