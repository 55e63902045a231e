"""Lua in the virtual TSP boxes: real, and in bounds."""

import time

import pytest

from emulator.circuits.laboratory import Laboratory
from firmware_specs.labs import single


@pytest.fixture
def box():
    laboratory = Laboratory(single("keithley-2612b", "resistor:1e3"))
    feed = laboratory.feed("instrument")
    laboratory.ask = lambda text: feed(text.encode() + b"\n").decode()
    return laboratory


def error_of(box):
    code, text, *_ = box.ask("print(errorqueue.next())").split("\t")
    return int(float(code)), text


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("while true do end", -286),
        ("repeat until false", -286),
        ("while true do pcall(function() while true do end end) end", -286),
        ("local function f() return f() end f()", -286),
        ("local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) local x = t[1]", -286),
        ("t={} for i=1,1e9 do t[i]=i end", -225),
        ("local s = 'x' while true do s = s .. s end", -225),
        ("string.rep('x', 1e9)", -286),
        ("string.rep('', 1e12)", -286),
        ("local s = string.rep('a', 20000) string.find(s, '.-.-.-.-b')", -286),
    ],
)
def test_a_script_without_end_or_measure_is_an_error_within_a_second_of_its_own_time(box, script, code):
    began = time.thread_time()
    assert box.ask(script) == ""
    assert time.thread_time() - began < 1.0
    assert error_of(box)[0] == code
    assert box.ask("print(smua.source.levelv)") == "0.00000e+00\n"


@pytest.mark.parametrize(
    "name",
    ["io", "debug", "package", "require", "module", "dofile", "loadfile", "load", "python", "coroutine", "newproxy",
     "getfenv", "setfenv", "os.execute", "os.getenv", "string.dump", "os.remove"],
)  # fmt: skip
def test_nothing_leads_out_of_the_box(box, name):
    assert box.ask(f"print({name})") == "nil\n"


def test_byte_code_is_not_loaded_and_objects_hide_their_tables(box):
    box.ask("f = loadstring('\\27Lua')")
    assert error_of(box)[0] == -286
    box.ask("getmetatable(smua).Getters = nil")
    assert box.ask("print(getmetatable(smua).__index, getmetatable(smua).Getters ~= nil)") == "nil\ttrue\n"
    box.ask("setmetatable(smua, {})")
    assert error_of(box)[0] == -286
    box.ask("\x1bLuaQ")
    assert error_of(box)[0] == -285


def test_functions_loops_and_tables_of_the_user_work(box):
    box.ask(
        "function iv(n) local t={} for i=1,n do smua.source.levelv=i*0.1 t[i]=smua.measure.i() end return unpack(t) end"
    )
    box.ask("smua.source.limiti=0.01 smua.source.output=1")
    amps = [float(a) for a in box.ask("print(iv(3))").split("\t")]
    assert amps == pytest.approx([1e-4, 2e-4, 3e-4], rel=5e-3)
    assert box.ask("local a, b = 7, 'x' print(a % 4, b .. b, #'abc', a == 7, nil)") == (
        "3.00000e+00\txx\t3.00000e+00\ttrue\tnil\n"
    )


def test_scripts_are_loaded_named_run_and_kept(box):
    for line in ("loadscript mine", "for i = 1, 2 do", "  print(i)", "end", "endscript"):
        assert box.ask(line) == ""
    assert box.ask("mine()") == box.ask("mine.run()") == "1.00000e+00\n2.00000e+00\n"
    box.ask("loadandrunscript")
    box.ask("print('now')")
    assert box.ask("endscript") == "now\n"


def test_a_wait_in_the_middle_of_a_loop_goes_on_where_it_was(box):
    box.ask("function w() for i=1,2 do if trigger.wait(900) then print(i) end end end")
    assert box.ask("w()") == ""
    assert box.ask("*TRG") == "1.00000e+00\n"
    assert box.ask("*TRG") == "2.00000e+00\n"
    assert box.ask("print(3)") == "3.00000e+00\n"


def test_errors_name_the_line_and_do_not_end_the_session(box):
    box.ask("local x = nil + 1")
    assert error_of(box) == (-286, "TSP Runtime error at line 1: attempt to perform arithmetic on a nil value")
    box.ask("smua.source.levelv = 1e9")
    assert error_of(box) == (1103, "Parameter too big")
    box.ask("smua.source.nothing = 1")
    assert error_of(box)[0] == -286


def test_sweeps_of_the_trigger_model_and_of_the_factory_fill_buffers(box):
    box.ask("smua.source.limiti=0.01 smua.source.output=1")
    box.ask("smua.trigger.source.linearv(0,1,5) smua.trigger.source.action=1 smua.trigger.measure.action=1")
    box.ask("smua.trigger.measure.iv(smua.nvbuffer1,smua.nvbuffer2) smua.trigger.count=5 smua.trigger.initiate()")
    assert box.ask("print(smua.nvbuffer1.n, smua.nvbuffer1.readings[5], smua.nvbuffer2[5])").startswith("5.00000e+00\t")
    box.ask("SweepVLinMeasureI(smua, 0, 1, 0, 3)")
    amps = [float(a) for a in box.ask("printbuffer(1, 3, smua.nvbuffer1)").split(",")]
    assert amps == pytest.approx([0, 5e-4, 1e-3], abs=3e-6)
    assert box.ask("print(smua.source.output)") == "0.00000e+00\n"


def test_a_box_of_one_channel_has_no_second():
    feed = Laboratory(single("keithley-2611b", "open")).feed("instrument")
    assert feed(b"print(smub)\n") == b"nil\n"
    assert feed(b"print(localnode.model)\n") == b"2611B\n"
