"""InstrumentKit's multimeters on the virtual ones, over a socket: its VISA door needs a module PyVISA has dropped."""

import inspect
import socket
import threading
import warnings

import pytest

from hil.counterparts.opening.emulate_lab import open_instrument


@pytest.fixture
def instrumentkit():
    """InstrumentKit; sockets give up after five seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kit = pytest.importorskip("instruments", reason="InstrumentKit is not installed: see `make peers`")
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(5)
    yield kit
    socket.setdefaulttimeout(before)


@pytest.fixture
def multimeter(instrumentkit):
    """Opens a class of InstrumentKit's on a virtual multimeter in front of 1 kOhm."""
    opened = []

    def open_as(module, name, model):
        server = open_instrument(model, "resistor:1e3")
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        (address,) = server.addresses.values()
        box = getattr(getattr(instrumentkit, module), name).open_tcpip("127.0.0.1", int(address.split("::")[2]))
        opened.append((server, thread, box))
        return box

    yield open_as
    for server, thread, box in opened:
        box._file._conn.close()
        server.stop()
        thread.join()


CLASSES = [("agilent", "Agilent34410a", "keysight-34465a"), ("generic_scpi", "SCPIMultimeter", "keysight-34465a")]
OF_OTHERS = ("display_brightness", "display_contrast", "relative")
"""A screen's that no multimeter has, and what the class itself has not."""
MISREAD = {
    "mode", "input_range", "resolution",  # cut out of the answer to `CONF?` without its quotes
    "trigger_count",  # wants `1`, reads `+1.00000000E+00`
}  # fmt: skip


@pytest.mark.parametrize(("module", "name", "model"), CLASSES)
def test_reads_sets_and_measures(multimeter, module, name, model):
    box = multimeter(module, name, model)
    failed, read = {}, []
    for prop, found in inspect.getmembers(type(box)):
        if isinstance(found, property) and found.fget and not prop.startswith("_") and prop not in OF_OTHERS:
            try:
                getattr(box, prop)
                read.append(prop)
            except Exception as error:
                failed[prop] = repr(error)
    assert set(failed) == MISREAD
    assert len(read) >= 13
    for prop, points in (
        ("trigger_mode", list(box.TriggerMode)), ("trigger_delay", [0, 1, 3600]), ("sample_count", [1, 500, 50_000]),
        ("sample_source", list(box.SampleSource)), ("sample_timer", [0.02, 1, 3600]),
    ):  # fmt: skip
        for point in points:
            setattr(box, prop, point)
            assert box.query("SYST:ERR?").startswith("+0"), (prop, point)
            assert getattr(box, prop) == point
    box.reset()
    assert float(box.measure(box.Mode.resistance)) == pytest.approx(1e3, rel=1e-3)
    assert abs(float(box.measure(box.Mode.voltage_dc))) < 1e-4
    assert box.query("SYST:ERR?").startswith("+0")
