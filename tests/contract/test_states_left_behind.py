"""Our rack on instruments in states that somebody else left behind: it sets what it needs, or says what is in its way.

In every case no output is on afterwards, and a rack that opens measures right.
"""

import numpy as np
import pytest

from drivers.errors import DeviceError
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.fence import Allowed, Fence
from drivers.instruments.opening import open_instrument
from drivers.loopback import Loopback
from drivers.rack import cells
from drivers.rack.rig import Rig
from emulator.circuits.laboratory import Laboratory
from emulator.rack.rack import VirtualRack
from firmware_specs.labs import Lab
from firmware_specs.racks import load_rack

COMMON = {
    "errors in the queue": ["NONSENSE 1"] * 25,
    "service requests on": ["*ESE 255", "*SRE 255", "NONSENSE"],
    "a saved set-up": ["*SAV 1", "*ESE 1"],
    "status events enabled": ["STAT:OPER:ENAB 65535", "STAT:QUES:ENAB 65535"],
    "half an answer asked": ["*IDN?"],
}
SMU = {
    "output on": [":SOUR:VOLT 0.1", ":OUTP ON"],
    "output on at a current": [":SOUR:FUNC CURR", ":SOUR:CURR 1e-6", ":OUTP ON"],
    "slow integration": [":SENS:CURR:NPLC 10"],
    "source fixed low": [":SOUR:VOLT:RANG 0.2", ":SENS:CURR:RANG 1e-6"],
    "four wires": [":SENS:CURR:RSEN ON", ":SYST:RSEN ON", ":SENS:REM ON"],
    "rear terminals": [":ROUT:TERM REAR"],
    "binary format": [":FORM REAL", ":FORM REAL,32", ":FORM:BORD SWAP"],
    "filter on": [":SENS:CURR:AVER:STAT ON", ":SENS:AVER ON", ":SENS:AVER:COUN 100", ":SENS:CURR:AVER:COUN 100"],
    "autozero off": [":SENS:CURR:AZER OFF", ":SYST:AZER OFF"],
    "off state high impedance": [
        ":OUTP:SMOD HIMP",
        ":OUTP:CURR:SMOD HIMP",
        ":OUTP:VOLT:SMOD HIMP",
        ":OUTP:OFF:MODE HIZ",
    ],
    "off state guard": [":OUTP:SMOD GUAR", ":OUTP:VOLT:SMOD GUAR"],
    "tiny compliance": [":SENS:CURR:PROT 1e-9", ":SOUR:VOLT:ILIM 1e-9"],
    "large compliance": [":SENS:CURR:PROT 1", ":SOUR:VOLT:ILIM 1"],
    "long source delay": [":SOUR:DEL 100", ":SOUR:VOLT:DEL 100"],
    "another function": [":SENS:FUNC 'RES'", ":SENS:FUNC 'VOLT'"],
    "limits on": [":CALC2:LIM1:STAT ON", ":CALC2:CURR:LIM1:STAT ON"],
    "display off": [":DISP:ENAB OFF", ":DISP:LIGH:STAT OFF"],
}
K2400 = {
    "one element": [":FORM:ELEM CURR"],
    "two elements": [":FORM:ELEM VOLT,CURR"],
    "no function": [":SENS:FUNC:OFF:ALL"],
    "one function at a time": [":SENS:FUNC:CONC OFF", ":SENS:FUNC 'VOLT'"],
    "a sweep set up": [":SOUR:VOLT:MODE SWE", ":SOUR:VOLT:STOP 1", ":SOUR:VOLT:STEP 0.1", ":TRIG:COUN 11"],
    "a list set up": [":SOUR:VOLT:MODE LIST", ":SOUR:LIST:VOLT 0,1,2", ":TRIG:COUN 3"],
    "trigger armed": [":SOUR:VOLT 0.1;:OUTP ON", ":ARM:SOUR BUS", ":INIT"],
    "many readings a trigger": [":ARM:COUN 5", ":TRIG:COUN 10", ":TRIG:DEL 1"],
    "buffer full": [":OUTP ON", ":TRAC:POIN 3", ":TRIG:COUN 3", ":TRAC:FEED:CONT NEXT", ":INIT", ":OUTP OFF"],
    "auto output off": [":SOUR:CLE:AUTO ON"],
    "null on": [":CALC2:NULL:OFFS 1", ":CALC2:NULL:STAT ON"],
    "other mains": [":SYST:LFR 60"],
}
K2450 = {
    "SCPI 2400 command set": ["*LANG SCPI2400"],
    "TSP command set": ["*LANG TSP"],
    "a sweep set up": [":SOUR:SWE:VOLT:LIN 0,1,11,0,1"],
    "a sweep run": [":SOUR:SWE:VOLT:LIN 0,0.1,11,0,1", ":INIT"],
    "buffer full": [":TRAC:POIN 10", ":TRAC:FILL:MODE ONCE", ":OUTP ON", ":SENS:COUN 10", ":READ?", ":OUTP OFF"],
    "buffers of others": [":TRAC:MAKE 'mine', 100"],
    "many readings": [":SENS:COUN 50"],
    "relative on": [":SENS:CURR:REL 1e-3", ":SENS:CURR:REL:STAT ON"],
    "read back off": [":SOUR:VOLT:READ:BACK OFF"],
    "few digits": [":FORM:ASC:PREC 2"],
}
B2900 = {
    "all elements": [":FORM:ELEM:SENS VOLT,CURR,RES,TIME,STAT,SOUR"],
    "one element": [":FORM:ELEM:SENS CURR"],
    "a list set up": [":SOUR1:VOLT:MODE LIST", ":SOUR1:LIST:VOLT 0,1,2", ":TRIG1:COUN 3"],
    "a sweep set up": [":SOUR1:VOLT:MODE SWE", ":SOUR1:VOLT:STOP 1", ":SOUR1:VOLT:POIN 11", ":TRIG1:COUN 11"],
    "pulses set up": [":SOUR1:FUNC:SHAP PULS", ":SOUR1:PULS:WIDT 1e-3"],
    "trigger armed": [":TRIG1:SOUR BUS", ":INIT (@1)"],
    "second channel on": [":SOUR2:VOLT 0.1", ":OUTP2 ON"],
    "output goes on by itself": [":OUTP1:ON:AUTO ON", ":MEAS? (@1)"],
    "trace full": [":TRAC1:POIN 1", ":TRAC1:FEED:CONT NEXT", ":READ? (@1)"],
    "protection on": [":OUTP1:PROT ON"],
}
K2450_TSP = {
    "found as it starts": [],
    "output on": ["smu.source.level=0.1 smu.source.output=smu.ON"],
    "output on at a current": ["smu.source.func=smu.FUNC_DC_CURRENT smu.source.level=1e-6 smu.source.output=smu.ON"],
    "print gone": ["smu.source.output=smu.ON print=nil"],
    "print replaced": ["function print() end smu.source.output=smu.ON"],
    "channel gone": ["smu.source.output=smu.ON smu=nil"],
    "reset replaced": ["smu.source.output=smu.ON reset=function() end smu.reset=reset"],
    "event log gone": ["eventlog=nil smu.source.output=smu.ON"],
    "an event after every command": ["localnode.showevents=7 smu.source.output=smu.ON"],
    "a prompt after every command": ["localnode.prompts=localnode.ENABLE smu.source.output=smu.ON"],
    "binary format": ["format.data=format.REAL64 format.byteorder=format.BIGENDIAN"],
    "few digits": ["format.asciiprecision=2"],
    "a script that never ended": ["smu.source.output=smu.ON while true do end"],
    "memory full of a table": ["smu.source.output=smu.ON t={} for i=1,1e9 do t[i]=i end"],
    "half a script": ["smu.source.output=smu.ON", "loadscript mine", "x=1"],
    "buffer full": ["t=buffer.make(10) smu.measure.count=20 smu.measure.read(t)"],
    "buffers of others": ["for i=1,90 do _G['b'..i]=buffer.make(100) end"],
    "many readings": ["smu.measure.count=100"],
    "slow integration": ["smu.measure.nplc=10 smu.measure.filter.enable=smu.ON smu.measure.filter.count=100"],
    "a long delay": ["smu.source.delay=100"],
    "relative on": ["smu.measure.rel.level=1e-3 smu.measure.rel.enable=smu.ON"],
    "math on": ["smu.measure.math.format=smu.MATH_RECIPROCAL smu.measure.math.enable=smu.ON"],
    "limits on": ["smu.measure.limit[1].enable=smu.ON"],
    "high impedance off": ["smu.source.offmode=smu.OFFMODE_HIGHZ"],
    "rear terminals": ["smu.terminals=smu.TERMINALS_REAR smu.source.output=smu.ON"],
    "a sweep set up": ["smu.source.sweeplinear('s', 0, 1, 11)"],
    "a sweep run": ["smu.source.sweeplinear('s', 0, 0.1, 11) trigger.model.initiate()"],
    "trigger blocks": ["trigger.model.setblock(1, trigger.BLOCK_SOURCE_OUTPUT, smu.ON) trigger.model.initiate()"],
    "configuration lists": ["smu.source.configlist.create('l') smu.source.configlist.store('l')"],
    "four wires": ["smu.measure.sense=smu.SENSE_4WIRE"],
    "service requests on": ["status.request_enable=255 status.standard.enable=255"],
    "errors in the queue": ["nonsense("] * 120,
    "names of ours": ["hil_watch_s=0 hil_tripped=0"],
}
TSP = {
    "output on": ["smua.source.levelv=0.1 smua.source.output=1"],
    "both outputs on": ["smua.source.levelv=0.1 smua.source.output=1 smub.source.output=1"],
    "output on at a current": ["smua.source.func=0 smua.source.leveli=1e-6 smua.source.output=1"],
    "binary format": ["format.data=format.REAL64 format.byteorder=0"],
    "few digits": ["format.asciiprecision=2"],
    "print replaced": ["function print() end"],
    "print gone": ["print=nil"],
    "print gone, output on": ["smua.source.levelv=0.1 smua.source.output=1 print=nil"],
    "channel gone": ["smua=nil"],
    "channel gone, output on": ["smua.source.levelv=0.1 smua.source.output=1 smua=nil"],
    "delay replaced": ["function delay() end"],
    "reset replaced": ["smua.reset=function() end"],
    "error queue gone": ["errorqueue=nil"],
    "an answer to every error": ["localnode.showerrors=1"],
    "a prompt after every command": ["localnode.prompts=1"],
    "a script that never ended": ["while true do end"],
    "memory full of a table": ["t={} for i=1,1e9 do t[i]=i end"],
    "half a script": ["loadscript mine", "x=1"],
    "buffer full": ["smua.nvbuffer1.appendmode=1", "smua.measure.count=20 smua.measure.i(smua.nvbuffer1)"],
    "many readings": ["smua.measure.count=100 smua.measure.interval=0.1"],
    "slow integration": ["smua.measure.nplc=25 smua.measure.filter.enable=1 smua.measure.filter.count=20"],
    "long delays": ["smua.source.delay=10 smua.measure.delay=10"],
    "relative on": ["smua.measure.rel.leveli=1 smua.measure.rel.enablei=1"],
    "high impedance off": ["smua.source.offmode=2"],
    "sweep set up": ["smua.trigger.source.linearv(0,1,11) smua.trigger.source.action=1 smua.trigger.count=11"],
    "tiny limit": ["smua.source.limiti=1e-9"],
    "four wires": ["smua.sense=1 smub.sense=1"],
    "a watch of somebody else": ["function hil_watch() end hil_tripped=1"],
    "errors in the queue": ["nonsense("] * 120,
    "names of ours": ["hil_watch_s=0 hil_tripped=0"],
}
MATRIX = {
    "relays closed": ['channel.close("1A01,1B02")'],
    "make before break": ["channel.connectrule=2"],
    "no rule": ["channel.connectrule=0"],
    "print replaced": ["function print() end"],
    "a prompt after every command": ["localnode.prompts=1"],
    "channel gone": ["channel=nil"],
    "channel gone, relays closed": ['channel.close("1A01") channel=nil'],
    "errors in the queue": ["nonsense("] * 120,
}
METER = {
    "amperes": [":SENS:FUNC 'CURR'"],
    "ohms": [":SENS:FUNC 'RES'"],
    "fixed low range": [":SENS:VOLT:RANG 0.1"],
    "binary format": [":FORM REAL", ":FORM:BORD NORM"],
    "filter on": [":SENS:VOLT:AVER:STAT ON", ":SENS:VOLT:AVER:COUN 100"],
    "relative on": [":SENS:VOLT:REL 1", ":SENS:VOLT:REL:STAT ON"],
    "many readings": [":SENS:COUN 20"],
    "slow integration": [":SENS:VOLT:NPLC 10"],
    "a scan set up": [":ROUT:SCAN:CRE (@101:105)"],
    "TSP command set": ["*LANG TSP"],
    "few digits": [":FORM:ASC:PREC 2"],
    "buffer full": [":TRAC:POIN 3", ":TRAC:FILL:MODE ONCE", ":READ?", ":READ?", ":READ?", ":READ?"],
}
METER |= {
    f"function {name}": [f":SENS:FUNC '{name}'"]
    for name in ("VOLT:AC", "CURR:AC", "FRES", "TEMP", "FREQ", "PER", "CAP", "DIOD", "CONT", "VOLT:RAT", "NONE")
} | {
    "autozero off": [":SENS:VOLT:AZER OFF"],
    "other impedance": [":SENS:VOLT:INP AUTO"],
    "channels closed": [":ROUT:CLOS (@101)"],
}
TRUEVOLT = {
    "amperes": ["CONF:CURR:DC"],
    "ohms": ["CONF:RES 100"],
    "fixed low range": ["VOLT:DC:RANG 0.1"],
    "binary format": ["FORM REAL,64", "FORM:BORD SWAP"],
    "null on": ["VOLT:DC:NULL:VAL 1", "VOLT:DC:NULL ON"],
    "many samples": ["SAMP:COUN 20", "TRIG:COUN 3"],
    "timed samples": ["SAMP:SOUR TIM", "SAMP:TIM 1"],
    "trigger armed": ["TRIG:SOUR BUS", "INIT"],
    "slow integration": ["VOLT:DC:NPLC 100"],
    "aperture set": ["VOLT:DC:APER 2"],
    "memory full": ["SAMP:COUN 100", "INIT"],
    "delay": ["TRIG:DEL 3600"],
    "few digits": ["FORM ASC,4"],
}
TRUEVOLT |= {
    f"function {name}": [f"CONF:{name}"]
    for name in ("VOLT:AC", "CURR:AC", "FRES", "FREQ", "PER", "CONT", "DIOD", "TEMP", "CAP")
} | {"autozero off": ["VOLT:DC:ZERO:AUTO OFF"], "statistics on": ["CALC:AVER ON"], "display text": ["DISP:TEXT 'x'"]}
MAINFRAME = {
    "relays closed": ["ROUT:CLOS (@5001)"],
    "outputs on": ["SOUR:VOLT 0.1,(@1001)", "OUTP ON,(@1001)"],
    "a scan set up": ["ROUT:SCAN (@6001:6005)"],
    "binary format": ["FORM REAL,64"],
    "trigger armed": ["ROUT:SCAN (@6001)", "TRIG:SOUR BUS", "INIT"],
    "slow integration": ["SENS:VOLT:DC:NPLC 200,(@6001:6005)"],
    "amperes": ["CONF:CURR:DC (@6001)"],
    "many scans": ["TRIG:COUN 10"],
    "all outputs on": [f"OUTP ON,(@{slot}001:{slot}004)" for slot in (1, 2, 3, 4)],
    "outputs at volts": ["SOUR:VOLT 0.3,(@1001:1004)", "OUTP ON,(@1001:1004)"],
    "many relays closed": ["ROUT:CLOS (@5001:5032)"],
    "a delay a channel": ["ROUT:CHAN:DEL 10,(@6001:6005)"],
    "labels": ["ROUT:CHAN:LAB 'mine',(@6001)"],
    "readings in memory": ["ROUT:SCAN (@6001:6005)", "INIT"],
    "readings with units": ["FORM:READ:UNIT ON", "FORM:READ:CHAN ON"],
    "swapped bytes": ["FORM:BORD SWAP"],
    "a trigger timer": ["TRIG:SOUR TIM", "TRIG:TIM 100"],
    "autozero off": ["SENS:VOLT:DC:ZERO:AUTO OFF,(@6001:6005)"],
    "fixed low range": ["SENS:VOLT:DC:RANG 0.1,(@6001:6005)"],
    "ohms": ["CONF:RES (@6001)"],
    "temperature": ["CONF:TEMP (@6001)"],
    "meter off": ["INST:DMM OFF"],
    "display text": ["DISP:TEXT 'x'"],
    "samples": ["SAMP:COUN 20"],
    "a long trigger delay": ["TRIG:DEL 3600"],
}
MATRIX |= {
    "all of a slot closed": ['channel.close("1A01:1A12")'],
    "sequential": ["channel.connectsequential=1"],
    "an answer to every error": ["localnode.showerrors=1"],
    "error queue gone": ["errorqueue=nil"],
    "error queue replaced": ["errorqueue={count=0, next=function() end, clear=function() end}"],
    "reset replaced": ["function reset() end"],
    "close replaced": ["channel.close=function() end"],
    "few digits": ["format.asciiprecision=1"],
    "labels": ['channel.setlabel("1A01", "mine")'],
    "a script that never ended": ["while true do end"],
    "memory full of a table": ["t={} for i=1,1e9 do t[i]=i end"],
    "names of the user": ["x=1 y={} function f() return 1 end"],
    "half a script": ["loadscript mine", "x=1"],
    "half a script, relays closed": ['channel.close("1A01")', "loadscript mine"],
    "a script that runs by its name": ["loadscript mine", "x=1", "endscript", "mine()"],
    "table of the language gone": ["string=nil table=nil math=nil"],
    "type replaced": ["function type() return 'x' end"],
    "number conversion replaced": ["tonumber=nil tostring=nil"],
    "getclose replaced": ["channel.getclose=function() return 'nothing' end"],
    "rule sealed": ["channel.connectrule=2 channel.connectsequential=1"],
    "binary format": ["format.data=3"],
    "service requests on": ["status.request_enable=255 status.node_enable=255"],
    "a global function of the box's name": ["channel=setmetatable({},{__index=function() return 1 end})"],
    "errors by the name of an answer": ["error('1A01')"],
}
RACKS = {
    "keithley-8x8": {"smu1": SMU | K2450 | COMMON, "smu2": SMU | K2400 | COMMON, "matrix": MATRIX},
    "keysight-8x8": {"smu": SMU | B2900 | COMMON, "mainframe": COMMON},
    "bench-16x16": {"smu1": TSP, "matrix": MATRIX, "mainframe": MAINFRAME | COMMON},
}  # fmt: skip
CASES = [(rack, box) for rack, boxes in RACKS.items() for box in boxes]


def opened(rack, box, lines):
    virtual = VirtualRack(load_rack(rack))
    feed = virtual.feed(box)
    for line in lines:
        feed(line.encode() + b"\n")
    return virtual


def in_another_set(rack, box, model, lines):
    """A rack in which one box was switched on in another command set than the bench file thinks."""
    wired = load_rack(rack)
    spec = wired.instruments[box].model_copy(update={"model": model})
    virtual = VirtualRack(wired.model_copy(update={"instruments": {**wired.instruments, box: spec}}))
    for line in lines:
        virtual.feed(box)(line.encode() + b"\n")
    return virtual


def try_rack(virtual):
    """Opens it and measures a cell; gives what it said, or what it measured over what there is."""
    try:
        with Rig(virtual.rack, lambda box, spec, _: Loopback(virtual.feed(box), box)) as rig:
            curve = cells.curve(rig, 1, 2, [0.1])
    except DeviceError as error:
        return str(error)
    true_s = virtual.bench.crossbar.g_s[1, 2]
    return float(np.asarray(curve.amps)[0] / 0.1 / true_s)


@pytest.mark.parametrize(("rack", "box"), CASES)
def test_a_rack_opens_and_measures_right_or_says_what_is_in_its_way(rack, box):
    for name, lines in RACKS[rack][box].items():
        virtual = opened(rack, box, lines)
        said = try_rack(virtual)
        assert virtual.bench.outputs_on() == [], f"{name}: outputs stayed on; {said}"
        if isinstance(said, str):
            assert box in said or "rack" in said, f"{name}: {said}"
            assert "\n" not in said, f"{name}: {said}"
        else:
            assert said == pytest.approx(1, abs=0.05), name


def test_a_2450_in_its_tsp_command_set_is_switched_off_and_refused_in_one_sentence():
    for name, lines in K2450_TSP.items():
        virtual = in_another_set("keithley-8x8", "smu1", "keithley-2450-tsp", lines)
        said = try_rack(virtual)
        assert virtual.bench.outputs_on() == [], f"{name}: outputs stayed on; {said}"
        assert isinstance(said, str) and "'TSP', SCPI is needed" in said and "\n" not in said, f"{name}: {said}"


def test_a_2450_in_its_2400_command_set_works_for_the_driver_that_is_named_and_goes_off():
    for lines in ([], [":SOUR:VOLT 0.1;:OUTP ON"], [":SOUR:FUNC CURR;:SOUR:CURR 1e-6;:OUTP ON"]):
        virtual = in_another_set("keithley-8x8", "smu1", "keithley-2450-scpi2400", lines)
        assert try_rack(virtual) == pytest.approx(1, abs=0.05)
        assert virtual.bench.outputs_on() == []


@pytest.mark.parametrize("clears", [True, False], ids=["cleared by the interface", "a plain socket"])
@pytest.mark.parametrize("box", ["smu1", "matrix"])
def test_a_tsp_box_in_the_middle_of_a_script_is_met_and_switched_off(box, clears):
    """It answers nothing and its outputs are on: a device clear, or where there is none the script's end, is said."""
    on = {"smu1": "smua.source.levelv=0.1 smua.source.output=1", "matrix": 'channel.close("1A01")'}[box]
    virtual = opened("bench-16x16", box, [on, "loadscript mine", "x=1"])
    cleared = []

    def connect(name, spec, _):
        wire = Loopback(virtual.feed(name), name)
        if clears:

            def drain(quiet_s, deadline):
                cleared.append(name)
                virtual.boxes[name].clear()
                return Loopback.drain(wire, quiet_s, deadline)

            wire.drain = drain
        return wire

    with Rig(virtual.rack, connect) as rig:
        curve = cells.curve(rig, 1, 2, [0.1])
    assert float(np.asarray(curve.amps)[0] / 0.1 / virtual.bench.crossbar.g_s[1, 2]) == pytest.approx(1, abs=0.05)
    assert virtual.bench.outputs_on() == [] and (box in cleared) == clears


@pytest.mark.parametrize("model", ["keithley-707b", "keithley-708b"])
def test_a_switch_is_met_with_its_relays_open_or_says_what_is_in_its_way(model):
    lab = Lab.model_validate(
        {
            "instruments": {"switch": {"model": model}},
            "relays": {"switch.1A01": ["a", "b"], "switch.1B02": ["b", "c"], "switch.1A12": ["a", "c"]},
        }
    )
    met = 0
    for name, lines in MATRIX.items():
        laboratory = Laboratory(lab)
        for line in lines:
            laboratory.feed("switch")(line.encode() + b"\n")
        session = Dialogue(
            Loopback(laboratory.feed("switch"), "switch"), Fence("switch", Allowed(1.0, 1e-3, 1.0, 1e-3))
        )
        session.timeout_s = 0.5
        try:
            switch = open_instrument(session, "switch", lab.instruments["switch"], 50.0)
            try:
                switch.reset()
            finally:
                switch.safe()
            switch.close_channels(["1A01"])
            met += switch.closed() == {"1A01"}  # a rack reads back, and trips where it is another
            switch.open_all()
        except DeviceError as error:
            assert "\n" not in str(error), name
        assert not laboratory.bench.closed, f"{name}: relays stayed closed"
    assert met > len(MATRIX) / 2


@pytest.mark.parametrize(
    ("model", "states"), [("keithley-daq6510", METER | COMMON), ("keysight-34465a", TRUEVOLT | COMMON)]
)
def test_a_voltmeter_measures_right_whatever_was_left_on_it(model, states):
    for name, lines in states.items():
        lab = Lab.model_validate(
            {
                "instruments": {"source": {"model": "keithley-2450"}, "meter": {"model": model}},
                "wires": {"source.1": "a", "meter.hi": "a"},
                "parts": [{"dut": "resistor:1e6", "between": ["a", "gnd"]}],
            }
        )
        laboratory = Laboratory(lab)
        laboratory.feed("source")(b":SOUR:VOLT 0.5;:OUTP ON\n")
        for line in lines:
            laboratory.feed("meter")(line.encode() + b"\n")
        wire = Loopback(laboratory.feed("meter"), "meter")
        session = Dialogue(wire, Fence("meter", Allowed(1.0, 1e-3, 1.0, 1e-3)), timeout_s=1.0)
        meter = open_instrument(session, "meter", lab.instruments["meter"], 50.0)
        meter.reset()
        meter.configure(range_v=1.0, nplc=1.0)
        assert meter.measure() == pytest.approx(0.5, abs=2e-3), name
