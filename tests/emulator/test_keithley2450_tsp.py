"""The virtual 2450 in its TSP command set, by the examples of its reference manual's command pages."""

import pytest

from emulator.circuits.laboratory import Laboratory
from firmware_specs.labs import single


@pytest.fixture
def box():
    laboratory = Laboratory(single("keithley-2450-tsp", "resistor:1e3"))
    feed = laboratory.feed("instrument")
    laboratory.ask = lambda text: feed(text.encode() + b"\n").decode("latin-1").rstrip("\n")
    return laboratory


def numbers(text):
    return [float(part) for part in text.split(",")]


def test_it_says_who_it_is_and_what_it_speaks(box):
    assert "MODEL 2450" in box.ask("*IDN?")
    assert box.ask("*LANG?") == "TSP"
    box.ask("*LANG SCPI")
    assert box.ask("*LANG?") == "SCPI"  # from the next start on
    assert box.ask("print(localnode.model)") == "2450"


def test_words_are_printed_by_their_names_and_numbers_as_lua_does(box):
    assert box.ask("print(smu.source.func, smu.measure.func, smu.source.output)") == (
        "smu.FUNC_DC_VOLTAGE\tsmu.FUNC_DC_CURRENT\tsmu.OFF"
    )
    assert box.ask("print(0.1, 600, defbuffer1.capacity)") == "0.1\t600\t100000"
    box.ask("format.asciiprecision = 6")
    assert box.ask("print(0.1)") == "1.00000e-01"


def test_each_function_has_its_own_settings(box):
    box.ask("smu.measure.func = smu.FUNC_DC_VOLTAGE smu.measure.nplc = 0.5 smu.measure.limit[1].high.value = 3")
    box.ask("smu.measure.func = smu.FUNC_DC_CURRENT")
    assert box.ask("print(smu.measure.nplc, smu.measure.limit[1].high.value, smu.measure.unit)") == "1\t1\tsmu.UNIT_AMP"
    box.ask("smu.measure.func = smu.FUNC_DC_VOLTAGE")
    assert (
        box.ask("print(smu.measure.nplc, smu.measure.limit[1].high.value, smu.measure.unit)") == "0.5\t3\tsmu.UNIT_VOLT"
    )


def test_settings_of_a_function_that_is_not_in_use_are_set_by_their_names(box):
    box.ask("smu.source.setattribute(smu.FUNC_DC_CURRENT, smu.ATTR_SRC_RANGE, 0.007)")
    box.ask("smu.source.setattribute(smu.FUNC_DC_CURRENT, smu.ATTR_SRC_DELAY, 0.35)")
    assert (
        box.ask("print(smu.source.getattribute(smu.FUNC_DC_CURRENT, smu.ATTR_SRC_RANGE), smu.source.range)")
        == "0.01\t0.02"
    )
    assert (
        box.ask("print(smu.source.getattribute(smu.FUNC_DC_CURRENT, smu.ATTR_SRC_DELAY), smu.source.delay)")
        == "0.35\t0"
    )
    box.ask("smu.source.setattribute(smu.FUNC_RESISTANCE, smu.ATTR_SRC_LEVEL, 1)")
    assert box.ask("print(eventlog.getcount(eventlog.SEV_ERROR))") == "1"


def test_ranges_hold_what_is_asked_and_end_the_automatic_choice(box):
    box.ask("smu.source.func = smu.FUNC_DC_CURRENT smu.measure.func = smu.FUNC_DC_VOLTAGE smu.measure.range = 0.5")
    assert box.ask("print(smu.measure.range, smu.measure.autorange)") == "2\tsmu.OFF"
    box.ask("smu.source.delay = 0.1")
    assert box.ask("print(smu.source.autodelay)") == "smu.OFF"


def test_a_resistor_is_measured_into_a_buffer(box):
    box.ask("smu.source.ilimit.level = 0.01 smu.source.level = 0.5 smu.source.output = smu.ON")
    assert float(box.ask("print(smu.measure.read())")) == pytest.approx(5e-4, rel=2e-3)
    amps, seconds, part = box.ask("print(smu.measure.readwithtime(defbuffer1))").split("\t")
    assert float(amps) == pytest.approx(5e-4, rel=2e-3) and 0 <= float(part) < 1 and float(seconds) > 1e9
    assert box.ask("printbuffer(1, 1, defbuffer1.units, defbuffer1.sourceunits)") == "Amp DC, Volt DC"
    box.ask("smu.measure.func = smu.FUNC_RESISTANCE")
    assert float(box.ask("print(smu.measure.read())")) == pytest.approx(1e3, rel=3e-3)


def test_with_the_output_off_it_measures_what_is_there(box):
    assert abs(float(box.ask("print(smu.measure.read())"))) < 1e-9
    assert box.ask("print(eventlog.getcount())") == "0"


def test_buffers_of_ones_own_fill_once_and_say_how_full_they_are(box):
    box.ask("testData = buffer.make(50)")
    assert box.ask("print(testData.fillmode)") == "0"
    box.ask("testData.fillmode = buffer.FILL_CONTINUOUS")
    assert box.ask("print(testData.fillmode, testData.capacity)") == "1\t50"
    box.ask("test1 = buffer.make(100) smu.measure.count = 6 smu.measure.read(test1)")
    assert box.ask("print(test1.startindex, test1.endindex, test1.capacity)") == "1\t6\t100"
    assert box.ask("print(test1.relativetimestamps[1])") == "0"
    box.ask("full = buffer.make(10) smu.measure.count = 20 smu.measure.read(full)")
    assert box.ask("print(eventlog.next())").startswith("4915\t")
    assert box.ask("print(full.n)") == "10"
    box.ask("buffer.delete(full)")
    assert box.ask("print(full.n)") == "" and box.ask("print(eventlog.getcount())") == "1"


def test_statistics_are_a_table(box):
    box.ask("smu.source.ilimit.level=0.01 smu.source.level=0.5 smu.source.output=smu.ON")
    box.ask("smu.measure.count=5 smu.measure.read()")
    n, mean, low, high = map(float, box.ask(
        "s = buffer.getstats(defbuffer1) print(s.n, s.mean, s.min.reading, s.max.reading)").split("\t"))  # fmt: skip
    assert n == 5 and low <= mean <= high and mean == pytest.approx(5e-4, rel=2e-3)
    assert box.ask("print(buffer.getstats(buffer.make(10)).mean)") == "nil"


def test_beyond_the_end_of_a_buffer_is_no_number_and_an_event(box):
    box.ask("smu.measure.read()")
    values = numbers(box.ask("printbuffer(1, 3, defbuffer1)"))
    assert values[1:] == [9.91e37, 9.91e37]
    assert box.ask("print(eventlog.next())").startswith("-222\t")
    assert box.ask("printbuffer(1, 1e9, defbuffer1)") == ""
    assert box.ask("print(eventlog.next())").startswith("-222\t")


@pytest.mark.parametrize(
    ("call", "levels"),
    [
        ("smu.source.sweeplinear('s', 0, 1, 5, 0.01)", [0, 0.25, 0.5, 0.75, 1]),
        ("smu.source.sweeplinearstep('s', 0, 1, 0.5)", [0, 0.5, 1]),
        ("smu.source.sweeplog('s', 0.01, 1, 3)", [0.01, 0.1, 1]),
        ("smu.source.sweeplinear('s', 0, 1, 2, 0, 1, smu.RANGE_BEST, smu.ON, smu.ON)", [0, 1, 1, 0]),
    ],
)
def test_a_sweep_is_run_by_the_trigger_model_and_the_output_is_off_after_it(box, call, levels):
    box.ask("smu.source.ilimit.level = 0.01")
    box.ask(f"{call} trigger.model.initiate() waitcomplete()")
    found = numbers(
        box.ask("printbuffer(1, defbuffer1.n, defbuffer1, defbuffer1.sourcevalues, defbuffer1.sourcestatuses)")
    )
    assert found[1::3] == pytest.approx(levels, abs=2e-3)
    assert found[0::3] == pytest.approx([level / 1e3 for level in levels], abs=3e-6)
    assert set(found[2::3]) == {136}  # read back, output on
    assert box.ask("print(smu.source.output, smu.source.configlist.size('s'))") == f"smu.OFF\t{len(levels)}"


def test_the_simple_loop_leaves_the_output_as_it_is(box):
    box.ask("smu.source.ilimit.level=0.01 smu.source.level=0.5 smu.source.output=smu.ON")
    box.ask("trigger.model.load('SimpleLoop', 12, 0.001, defbuffer1) trigger.model.initiate() waitcomplete()")
    assert box.ask("print(defbuffer1.n, smu.source.output)") == "12\tsmu.ON"


def test_blocks_are_carried_out_with_their_branches(box):
    box.ask("smu.source.ilimit.level=0.01 smu.source.configlist.create('ramp')")
    box.ask("for i = 1, 3 do smu.source.level = i * 0.1 smu.source.configlist.store('ramp') end")
    box.ask("b = trigger.model.setblock t = trigger")
    box.ask(
        "b(1, t.BLOCK_BUFFER_CLEAR, defbuffer1) b(2, t.BLOCK_SOURCE_OUTPUT, smu.ON) b(3, t.BLOCK_CONFIG_RECALL, 'ramp')"
    )
    box.ask("b(4, t.BLOCK_DELAY_CONSTANT, 0.01) b(5, t.BLOCK_MEASURE) b(6, t.BLOCK_CONFIG_NEXT, 'ramp')")
    box.ask("b(7, t.BLOCK_BRANCH_COUNTER, 4, 4) b(8, t.BLOCK_SOURCE_OUTPUT, smu.OFF)")
    box.ask("trigger.model.initiate() waitcomplete()")
    assert numbers(box.ask("printbuffer(1, defbuffer1.n, defbuffer1)")) == pytest.approx(
        [1e-4, 2e-4, 3e-4, 1e-4], abs=2e-6
    )
    assert box.ask("print(trigger.model.state())") == "trigger.STATE_IDLE\ttrigger.STATE_IDLE\t8"
    assert box.ask("print(trigger.model.getbranchcount(7), smu.source.output)") == "4\tsmu.OFF"


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("smu.source.level = 500", 1103), ("smu.source.output = 1", -286), ("smu.nothing = 3", -286),
        ("nonsense(", -285), ("trigger.model.initiate()", -221), ("smu.source.sweeplinear('s', 0, 1, 0/0)", 1103),
        ("trigger.model.setblock(1, trigger.BLOCK_WAIT, trigger.EVENT_COMMAND)", -286),
        ("trigger.model.setblock(4, trigger.BLOCK_BRANCH_COUNTER)", -286),
        ("trigger.model.setblock(1, trigger.BLOCK_BRANCH_ALWAYS, 1) trigger.model.initiate()", -286),
        ("smu.source.configlist.recall('none')", -286), ("buffer.make(3)", 1103), ("digio.line[1].state = 1", -286),
        ("printbuffer(1, 2, 'x')", -286), ("smu.measure.configlist.store()", -286), ("while true do end", -286),
    ],
)  # fmt: skip
def test_what_is_wrong_becomes_an_event_and_the_session_goes_on(box, script, code):
    assert box.ask(script) == ""
    assert int(box.ask("print(eventlog.next())").split("\t")[0]) == code
    assert box.ask("print(eventlog.next())") == "0\tNo error\t0\t0\t0\t0"


def test_limits_math_and_relative_offset_act_in_this_order(box):
    box.ask("smu.source.ilimit.level=0.01 smu.source.level=0.5 smu.source.output=smu.ON")
    box.ask("smu.measure.rel.level=1e-4 smu.measure.rel.enable=smu.ON")
    box.ask("smu.measure.math.format=smu.MATH_MXB smu.measure.math.mxb.mfactor=1000 smu.measure.math.enable=smu.ON")
    box.ask("smu.measure.limit[1].high.value=0.3 smu.measure.limit[1].enable=smu.ON")
    assert float(box.ask("print(smu.measure.read())")) == pytest.approx(0.4, rel=3e-3)
    assert box.ask("print(smu.measure.limit[1].fail, defbuffer1.statuses[1])") == "smu.FAIL_HIGH\t136"
    box.ask("smu.measure.limit[1].clear()")
    assert box.ask("print(smu.measure.limit[1].fail)") == "smu.FAIL_NONE"


def test_the_limit_holds_and_says_so_of_what_is_sourced_only(box):
    box.ask("smu.source.ilimit.level=1e-4 smu.source.level=0.5 smu.source.output=smu.ON smu.measure.read()")
    assert box.ask("print(smu.source.ilimit.tripped, smu.source.vlimit.tripped)") == "smu.ON\tnil"
    assert int(float(box.ask("print(defbuffer1.sourcestatuses[1])"))) & 32


def test_a_reset_puts_everything_back_and_the_output_off(box):
    box.ask("smu.source.level=0.5 smu.source.output=smu.ON smu.measure.nplc=5 smu.terminals=smu.TERMINALS_REAR")
    box.ask("reset()")
    assert box.ask("print(smu.source.output, smu.source.level, smu.measure.nplc, smu.terminals)") == (
        "smu.OFF\t0\t1\tsmu.TERMINALS_FRONT"
    )
    assert (
        box.ask("print(smu.source.ilimit.level, smu.source.vlimit.level, smu.measure.range)") == "0.000105\t21\t0.0001"
    )


def test_queues_strings_and_exit(box):
    box.ask("dataqueue.clear() dataqueue.add(35) dataqueue.add('x')")
    assert box.ask("print(dataqueue.count, dataqueue.next(), dataqueue.next(), dataqueue.next())") == "2\t35\tx\tnil"
    box.ask("userstring.add('cell', 7)")
    assert box.ask("for name, value in userstring.catalog() do print(name, value) end") == "cell\t7"
    assert box.ask("print(1) exit() print(2)") == "1"
    assert box.ask("print(eventlog.getcount())") == "0"
