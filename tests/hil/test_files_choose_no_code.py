"""No file of a stranger chooses what code runs here: libraries, handlers of URLs, classes."""

import pytest

from drivers.doors import Address
from firmware_specs.racks import RackError, load_rack
from hil.cli import main
from hil.counterparts.opening import bench_file
from hil.counterparts.opening.bench_file import BenchFileError
from hil.experiments import experiment_file
from hil.experiments.experiment_file import ExperimentError
from hil.training.run import folder, marked

HANDLERS = [
    "serial:spy:///dev/ttyUSB0?file=/tmp/written",
    "serial:SPY:///dev/ttyUSB0?file=/tmp/written",
    "serial:alt:///dev/ttyUSB0?class=PosixPollSerial",
    "serial:hwgrep://.*",
    "serial:cp2110://0001:004a:00",
    "serial:anything://x",
    "visa:ASRLspy:///dev/ttyUSB0?file=/tmp/written::INSTR",
    "visa:ASRLsocket://localhost:1::INSTR",
]
PLAIN = [
    "serial:/dev/ttyUSB0?baud=9600",
    "serial:COM3",
    "serial:socket://10.0.0.3:4001",
    "serial:rfc2217://10.0.0.3:4001",
    "serial:loop://",
    "visa:ASRL/dev/ttyUSB0::INSTR",
    "visa:TCPIP::10.0.0.3::INSTR",
]
LIBRARIES = ["./x.so", "/tmp/x.so", "x.yaml@sim", "@sim", "evil@py", "", "@PY"]


def refused(arguments, capsys):
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("address", HANDLERS)
def test_a_bench_file_names_no_handler(address, tmp_path, capsys):
    (tmp_path / "lab.toml").write_text(f"[devices.a]\naddress = '{address}'\n")
    with pytest.raises(BenchFileError, match=r"devices\.a\.address: .*typed on the command line"):
        bench_file.load(tmp_path / "lab.toml")
    for command in (["devices"], ["train", "digits", "--device", "a"]):
        assert "typed on the command line" in refused([*command, "--bench", str(tmp_path / "lab.toml")], capsys)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_bench_file_names_no_library_but_the_two(library, tmp_path):
    (tmp_path / "lab.toml").write_text(f"[devices.a]\naddress = 'visa:TCPIP::a::INSTR'\nvisa_library = '{library}'\n")
    with pytest.raises(BenchFileError, match=r"devices\.a\.visa_library: .*'@py' or '@ivi'"):
        bench_file.load(tmp_path / "lab.toml")


@pytest.mark.parametrize("address", HANDLERS)
def test_an_experiment_and_a_run_folder_name_no_handler(address, tmp_path, capsys):
    (tmp_path / "x.toml").write_text(f"base = 'digits'\ndevice = '{address}'\n")
    (tmp_path / "above.toml").write_text("base = 'x.toml'\n")
    for name in ("x", "above"):
        with pytest.raises(ExperimentError, match="typed on the command line"):
            experiment_file.load(tmp_path / f"{name}.toml")
    (tmp_path / "run").mkdir()
    marked.mark(tmp_path / "run", folder.RUN)
    (tmp_path / "x.toml").rename(tmp_path / "run" / "config.toml")
    assert "typed on the command line" in refused(
        ["train", "digits", "--run-dir", str(tmp_path / "run"), "--resume"], capsys
    )


@pytest.mark.parametrize("address", [a for a in HANDLERS if a.startswith("visa:")])
def test_a_rack_names_no_handler(address, tmp_path):
    path = tmp_path / "rack.toml"
    path.write_text(
        f"name = 'r'\n[instruments.a]\nmodel = 'keithley-2450'\naddress = '{address.removeprefix('visa:')}'\n"
    )
    with pytest.raises(RackError, match=r"instruments\.a: .*typed on the command line"):
        load_rack(path)


@pytest.mark.parametrize("address", PLAIN)
def test_plain_addresses_are_taken_from_files(address, tmp_path):
    (tmp_path / "lab.toml").write_text(f"[devices.a]\naddress = '{address}'\nvisa_library = '@ivi'\n")
    assert bench_file.load(tmp_path / "lab.toml").devices["a"].address == address


@pytest.mark.parametrize("address", HANDLERS[:4])
def test_whoever_types_an_address_may_type_any(address):
    assert "://" in Address.parse(address).target
    assert experiment_file.load("digits", [f'device="{address}"']).device == address
