"""`hil emulate --instrument` and `--lab`: instruments at sockets, for any VISA library."""

import threading
import time

import pytest
import pyvisa
from typer.testing import CliRunner

from hil.cli import build_app
from hil.counterparts.opening.emulate_lab import open_instrument, open_lab


@pytest.fixture
def served():
    running = []

    def serve(server):
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        running.append((server, thread))
        return server.addresses

    yield serve
    for server, thread in running:
        server.stop()
        thread.join(30)
        assert not thread.is_alive()


def open_socket(address):
    return pyvisa.ResourceManager("@py").open_resource(address, read_termination="\n", write_termination="\n")


def test_a_sweep_of_100_points_over_a_socket_takes_none_of_the_instruments_time(served):
    (address,) = served(open_instrument("keithley-2450", "resistor:1e3")).values()
    box = open_socket(address)
    box.write(":SOUR:VOLT:ILIM 0.01")
    began = time.monotonic()
    box.write(":SOUR:SWE:VOLT:LIN 0,1,100,10,1,AUTO,ON,OFF,'defbuffer1'")  # 10 s a point
    box.write(":INIT")
    box.write("*WAI")
    amps = [float(a) for a in box.query(":TRAC:DATA? 1,100,'defbuffer1'").split(",")]
    assert time.monotonic() - began < 100.0, "1000 s of the instrument's clock"
    assert amps[-1] == pytest.approx(1e-3, rel=2e-3)
    box.close()


def test_every_instrument_of_a_laboratory_has_its_own_address(served, tmp_path):
    path = tmp_path / "lab.toml"
    path.write_text(
        '[instruments.smu]\nmodel = "keysight-b2901a"\n[instruments.meter]\nmodel = "keithley-daq6510"\n'
        '[wires]\n"smu.1" = "a"\n"meter.hi" = "a"\n[[parts]]\ndut = "diode"\nbetween = ["a", "gnd"]\n'
    )
    addresses = served(open_lab(path))
    smu, meter = (open_socket(addresses[name]) for name in ("smu", "meter"))
    smu.write(":SOUR1:FUNC:MODE CURR;:SENS1:VOLT:PROT 2;:SOUR1:CURR 1e-4;:OUTP1 ON")
    assert smu.query("*OPC?") == "1"
    assert float(meter.query(":READ?")) == pytest.approx(0.7144, abs=0.02)
    smu.close(), meter.close()


def test_a_port_may_be_chosen_and_a_taken_one_is_refused(served):
    (address,) = served(open_instrument("keithley-2400", "open")).values()
    port = int(address.split("::")[2])
    with pytest.raises(OSError):
        open_instrument("keithley-2400", "open", port=port)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--instrument", "keithley-9999"], "unknown instrument model: 'keithley-9999'"),
        (["--instrument", "keithley-2450", "--dut", "resistr:1"], "resistor"),
        (["--dut", "resistor:1"], "give a datasheet"),
        (["--instrument", "keithley-2450", "--rack", "bench-16x16"], "give a datasheet"),
        (["--instrument", "keithley-2450", "--pty"], "serve sockets"),
        (["--lab", "nowhere.toml"], "nowhere.toml"),
        (["--lab", "nowhere.toml", "--dut", "open"], "a laboratory file names its circuit"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(arguments, words):
    result = CliRunner().invoke(build_app(), ["emulate", *arguments])
    assert result.exit_code == 2
    assert words in " ".join(result.output.replace("│", " ").split())
