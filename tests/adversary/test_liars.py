"""Devices that say one thing and do another: off is what flags and STATUS say, and a watchdog what can be true."""

import importlib.util
from pathlib import Path

import pytest

from drivers.errors import DeviceError, LinkError, OutputsUncertain, ProtocolViolation
from drivers.session import Session


def beside(name):
    spec = importlib.util.spec_from_file_location(f"adversary_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


board, instrument, host = beside("board"), beside("instrument"), beside("host")


def framed(**lies):
    device = board.PlainBoard(**lies)
    return device, host.framed(device)


def scpi(**lies):
    device = instrument.PlainInstrument(**lies)
    return device, host.scpi(device)


BOTH = {"frames": framed, "scpi": scpi}


@pytest.fixture(params=BOTH.values(), ids=BOTH)
def liar(request):
    return request.param


def test_outputs_that_stay_on_are_not_called_off(liar):
    device, dialect = liar(ignores_off=True)
    session = Session(dialect, open_timeout_s=0.3)
    session.arm()
    with pytest.raises(OutputsUncertain, match="they may be on"):
        session.disarm()
    assert session.armed is not False
    device.ignores_off = False
    session.close()
    assert not device.outputs_on


def test_leaving_a_device_that_stays_on_says_so(liar):
    _, dialect = liar(ignores_off=True)
    with pytest.raises(OutputsUncertain, match=r"could not be confirmed .* they may be on; the device's watchdog"), \
            Session(dialect, open_timeout_s=0.3) as session:  # fmt: skip
        session.arm()


def test_error_within_the_session_carries_it(liar):
    _, dialect = liar(ignores_off=True)
    with pytest.raises(ZeroDivisionError) as ended, Session(dialect, open_timeout_s=0.3) as session:
        session.arm()
        raise ZeroDivisionError
    assert "they may be on" in "\n".join(ended.value.__notes__)


def test_device_that_is_found_on_and_stays_on_is_refused(liar):
    _, dialect = liar(ignores_off=True, outputs_on=True)
    with pytest.raises((OutputsUncertain, ProtocolViolation), match="utputs may be on"):
        Session(dialect, open_timeout_s=0.3)


def test_surplus_in_the_answer_to_disarm_is_no_confirmation_by_itself():
    device, dialect = framed(off_says=b"\x00")
    session = Session(dialect, open_timeout_s=0.3)
    session.arm()
    session.disarm()  # a new session switched off, and STATUS says so
    assert not device.outputs_on and dialect.link.counts.syncs == 2


@pytest.mark.parametrize("said", [b"1", b"2", b"", b"OFF", b"0.5", b"\x1b[2J"])
def test_answer_to_output_that_is_not_0_is_no_confirmation(said):
    device, dialect = scpi()
    session = Session(dialect, open_timeout_s=0.3)
    session.arm()
    device.off_says = said
    with pytest.raises(OutputsUncertain):
        session.disarm()


def test_status_that_says_armed_is_no_confirmation():
    device, dialect = scpi()
    session = Session(dialect, open_timeout_s=0.3)
    session.arm()
    device.state_says = 1
    with pytest.raises(OutputsUncertain, match="state ARMED"):
        session.disarm()


WATCHDOGS = [0.0, -1.0, float("nan"), float("inf"), 1e6, 1e300, 2.1, 1e-9]


@pytest.mark.parametrize("seconds", WATCHDOGS)
def test_watchdog_that_cannot_be_true_is_no_watchdog(liar, seconds):
    says = seconds if liar is framed else f"{seconds}".encode()
    device, dialect = liar(watchdog_says=says)
    with Session(dialect, watchdog_s=2.0, open_timeout_s=0.3) as session:
        with pytest.raises(LinkError):
            session.arm()
        assert not device.outputs_on
        assert not session.armed


@pytest.mark.parametrize("seconds", [2.0, 1.5, 0.01])
def test_watchdog_up_to_what_was_asked_is_taken(liar, seconds):
    says = seconds if liar is framed else f"{seconds}".encode()
    device, dialect = liar(watchdog_says=says)
    with Session(dialect, watchdog_s=2.0, open_timeout_s=0.3) as session:
        session.arm()
        assert session.watchdog_s == seconds and device.outputs_on
    assert not device.outputs_on


def test_watchdog_that_arm_names_is_looked_at_too():
    device, dialect = framed()
    with Session(dialect, watchdog_s=2.0, open_timeout_s=0.3) as session:
        device.evil = board.Evil("ARM", 0, "1e300")
        with pytest.raises(ProtocolViolation, match="1e\\+300 s is in force"):
            session.arm()
        assert not device.outputs_on


@pytest.mark.parametrize("field", range(8))
def test_limits_that_are_not_taken_are_not_believed(field):
    _, dialect = framed(evil=board.Evil("SET_LIMITS", field, "2^31"))
    with pytest.raises(ProtocolViolation, match="was set, the device says"):
        Session(dialect, open_timeout_s=0.3)


def test_wrong_device_is_left_before_anything_is_set_or_cleared(liar):
    device, dialect = liar()

    def expected(info):
        raise ProtocolViolation(f"serial number {info.identity.serial}")

    with pytest.raises(ProtocolViolation, match="serial number serial"):
        Session(dialect, expected=expected, open_timeout_s=0.3)
    seen = device.fields_of if liar is framed else device.values_of
    assert not {"SET_LIMITS", "CLEAR", "STATUS", "SOUR:LIM"} & set(seen)


def test_every_error_says_which_device(liar):
    _, dialect = liar(watchdog_says=-1.0 if liar is framed else b"-1")
    with pytest.raises(DeviceError, match=r"^liar: "), Session(dialect, open_timeout_s=0.3) as session:
        session.arm()
