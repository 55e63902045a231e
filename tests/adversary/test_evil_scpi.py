"""Every value of every reply of an instrument, replaced: an error of ours or a right result, and no third."""

import importlib.util
from pathlib import Path

import pytest


def beside(name):
    spec = importlib.util.spec_from_file_location(f"adversary_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


instrument, host = beside("instrument"), beside("host")


def every_value():
    """All there is to spoil, as a sound dialogue shows it."""
    sound = instrument.PlainInstrument()
    ended = host.met(host.scpi(sound))
    assert ended is None, ended
    return [(header, n) for header, count in sorted(sound.values_of.items()) for n in range(count)]


def test_instrument_written_from_the_command_set_alone_is_served_by_the_driver():
    values = every_value()
    assert len(values) > 100 and len({header for header, _ in values}) >= 22


def attack(cases):
    return host.attack(cases, lambda case: host.scpi(instrument.PlainInstrument(evil=case)))


def test_evil_values_end_in_a_result_or_an_error_of_ours():
    cases = [
        instrument.Evil(header, n, instrument.HOWS[7 * at % len(instrument.HOWS)])
        for at, (header, n) in enumerate(every_value())
    ]
    bad = attack(cases)
    assert not bad, "\n".join(bad)


@pytest.mark.soak
def test_every_evil_value_everywhere():
    cases = [instrument.Evil(header, n, how) for header, n in every_value() for how in instrument.HOWS]
    assert len(cases) > 2500
    bad = attack(cases)
    assert not bad, "\n".join(bad)
