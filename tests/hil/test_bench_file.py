from datetime import UTC, datetime, timedelta

import pytest

from drivers.errors import CalibrationExpired, DeviceError, OutOfRange
from emulator.chip import Chip
from emulator.device import Device
from emulator.serve import Board, Doors
from firmware_specs.datasheet import load as load_sheet
from hil.cli import main
from hil.counterparts.opening.address import AddressError
from hil.counterparts.opening.bench import open_bench
from hil.counterparts.opening.bench_file import BenchFileError, load, load_device
from hil.counterparts.opening.wire import open_crossbar
from hil.measuring.calibrate import header as calibration_file

NOW = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture
def bench_file(tmp_path):
    def write(text):
        path = tmp_path / "lab.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def chip(tmp_path, monkeypatch):
    """A virtual instrument on a socket, its address ready for a bench file."""
    import threading

    monkeypatch.setenv("CROSSBAR_HIL_LOCKS", str(tmp_path / "locks"))
    board = Board(Device(Chip(load_sheet("mixed-8bit"), 5)), Doors(tcp=0))
    thread = threading.Thread(target=board.run, daemon=True)
    thread.start()
    yield board
    board.stop()
    thread.join(30)


def test_device_is_opened_by_its_name(bench_file, chip):
    path = bench_file(
        f'[devices.chip]\naddress = "{chip.addresses[0]}"\ndatasheet = "mixed-8bit"\n'
        "[devices.chip.limits]\nmax_read_v = 0.1\n"
    )
    with open_bench(f"bench:{path}#chip") as bench:
        described = bench.describe()
    assert described["serial"] == "seed-5" and described["bench"] == f"bench file {path}"
    assert f"max_read_v = 0.1 V (bench file {path})" in described["limits"]["max_read_v"]
    assert chip.device.active.max_read_v == 0.1


def test_tools_that_measure_keep_to_the_limits_of_a_bench_file(bench_file, chip):
    lab = f'[devices.left]\naddress = "{chip.addresses[0]}"\nlimits = {{ max_read_v = 0.05 }}\n'
    path = bench_file(lab)
    with open_crossbar(f"bench:{path}#left") as crossbar:
        assert str(crossbar.session.guard.limits.max_read_v) == f"max_read_v = 0.05 V (bench file {path})"
        assert chip.device.active.max_read_v == 0.05
    bench_file(lab + 'serial = "seed-6"\n')
    with pytest.raises(OutOfRange, match="expects seed-6"):
        open_crossbar(f"bench:{path}#left")


def test_train_takes_bench_file_and_name(bench_file, chip, tmp_path, capsys):
    path = bench_file(f'[devices.chip]\naddress = "{chip.addresses[0]}"\n')
    small = ["--set", "data.train_samples=40", "--set", "data.test_samples=10", "--set", "run.epochs=1"]
    main_exits_0 = [
        "train",
        "digits",
        "--bench",
        str(path),
        "--device",
        "chip",
        "--run-dir",
        str(tmp_path / "run"),
        *small,
    ]
    with pytest.raises(SystemExit) as caught:
        main(main_exits_0)
    assert caught.value.code == 0
    assert f"bench:{path}#chip" in capsys.readouterr().out
    assert not chip.device.outputs.on


def test_device_that_is_not_its_datasheet_is_refused(bench_file, chip):
    path = bench_file(f'[devices.chip]\naddress = "{chip.addresses[0]}"\ndatasheet = "discrete-board"\n')
    with pytest.raises(OutOfRange, match=r"not what its datasheet.*cells.g_max_s: datasheet 0.001, device 0.000101"):
        open_bench(f"bench:{path}#chip")
    with open_bench(chip.addresses[0]):
        pass


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "devices: missing"),
        ("[devices]\n", "devices: Dictionary should have at least 1 item"),
        ("[devices.a]\n", "devices.a.address: missing"),
        ('[devices.a]\naddress = "reference:"\nspeed = 3\n', "devices.a.speed: unknown key"),
        (
            '[devices.a]\naddress = "reference:"\nwatchdog_s = -1\n',
            "devices.a.watchdog_s: Input should be greater than 0",
        ),
        (
            '[devices.a]\naddress = "reference:"\n[devices.a.limits]\nmax_drive_a = nan\n',
            "devices.a.limits.max_drive_a: Input should be",
        ),
        ("[devices.a\n", "not TOML"),
    ],
)
def test_refusal_names_file_key_and_what_was_expected(bench_file, text, expected):
    path = bench_file(text)
    with pytest.raises(BenchFileError) as caught:
        load(path)
    assert str(path) in str(caught.value) and expected in str(caught.value)


def test_missing_file_and_unknown_device_are_named(bench_file, tmp_path):
    with pytest.raises(BenchFileError, match=r"nowhere\.toml: not readable"):
        load(tmp_path / "nowhere.toml")
    path = bench_file('[devices.left]\naddress = "reference:"\n[devices.right]\naddress = "reference:"\n')
    with pytest.raises(BenchFileError, match="no device 'middle'; known: left, right"):
        load_device(path, "middle")


def test_other_counterparts_have_an_address_and_nothing_else(bench_file):
    path = bench_file(
        '[devices.a]\naddress = "emulator:ideal?seed=3"\n[devices.b]\naddress = "reference:"\ntimeout_s = 3\n'
    )
    with open_bench(f"bench:{path}#a") as bench:
        assert bench.describe()["seed"] == 3
    with pytest.raises(AddressError, match=r"devices\.b: only serial: and visa: devices"):
        open_bench(f"bench:{path}#b")
    loop = bench_file(f'[devices.a]\naddress = "bench:{path}#a"\n')
    with pytest.raises(AddressError, match="cannot refer to another one"):
        open_bench(f"bench:{loop}#a")
    for address in ("bench:lab.toml", "bench:#a", "bench:lab.toml#"):
        with pytest.raises(AddressError, match="bench:FILE#NAME"):
            open_bench(address)


def test_datasheet_and_calibration_files_lie_beside_the_bench_file(bench_file, tmp_path):
    path = bench_file('[devices.a]\naddress = "serial:x"\ndatasheet = "chip.toml"\ncalibration = "cal.toml"\n')
    entry = load_device(path, "a")
    assert entry.datasheet == str(tmp_path / "chip.toml") and entry.calibration == str(tmp_path / "cal.toml")


@pytest.fixture
def calibration(tmp_path):
    path = tmp_path / "cal.toml"
    path.write_text(
        'arrays = []\n[calibration]\nid = "cal-7"\nmodel = "mixed-8bit"\nserial = "seed-5"\n'
        "made = 2026-01-01T00:00:00Z\nvalid_days = 30\n"
    )
    return path


def test_calibration_that_fits_is_recorded_with_its_age(calibration):
    found = calibration_file.check(calibration, "mixed-8bit", "seed-5", None, NOW)
    assert found == {"id": "cal-7", "file": str(calibration), "age_days": 30.0, "valid_days": 30.0, "overridden": []}


@pytest.mark.parametrize(
    ("serial", "days", "why"),
    [
        ("seed-6", 1, "it is of mixed-8bit seed-5"),
        ("seed-5", 31, "31.0 days old and holds for 30"),
        ("seed-5", -1, "future"),
    ],
)
def test_expired_or_foreign_calibration_refuses_to_run_unless_named(calibration, serial, days, why):
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days)
    for allow in (None, "cal-6"):
        with pytest.raises(CalibrationExpired, match=why):
            calibration_file.check(calibration, "mixed-8bit", serial, allow, now)
    assert why in calibration_file.check(calibration, "mixed-8bit", serial, "cal-7", now)["overridden"][0]


def test_calibration_of_another_device_stops_the_bench(bench_file, chip, calibration):
    calibration.write_text(calibration.read_text().replace("seed-5", "seed-6"))
    text = f'[devices.chip]\naddress = "{chip.addresses[0]}"\ncalibration = "cal.toml"\n'
    with pytest.raises(CalibrationExpired, match='allow_calibration = "cal-7"'):
        open_bench(f"bench:{bench_file(text)}#chip")
    with open_bench(f"bench:{bench_file(text + 'allow_calibration = ' + chr(34) + 'cal-7' + chr(34))}#chip") as bench:
        assert bench.describe()["calibration"]["overridden"]


@pytest.mark.parametrize("text", ["", "[calibration]\n", "not toml", '[calibration]\nid = "x"\nspeed = 1\n'])
def test_damaged_calibration_is_refused_by_name(tmp_path, text):
    path = tmp_path / "cal.toml"
    path.write_text(text)
    with pytest.raises(CalibrationExpired, match=r"cal\.toml"):
        calibration_file.check(path, "m", "s", None, NOW)


def test_device_command_errors_exit_with_3_and_one_line(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["train", "digits", "--device", "serial:/dev/no-such-port"])
    assert caught.value.code == 3
    error = capsys.readouterr().err
    assert "found nothing there" in error and "Traceback" not in error
    assert issubclass(CalibrationExpired, DeviceError)


@pytest.mark.parametrize("address", ["", "serial:", "COM3", "visa", "usb:0"])
def test_an_address_that_names_nothing_is_refused_with_its_key(bench_file, address):
    path = bench_file(f'[devices.chip]\naddress = "{address}"\n[devices.chip.limits]\nmax_read_v = 0.1\n')
    with pytest.raises(BenchFileError, match=rf"lab\.toml: devices\.chip\.address: an address is .*got '{address}'"):
        load(path)
