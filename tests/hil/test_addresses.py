import re

import pytest
import torch

from drivers.doors import Address
from drivers.errors import BadAddress
from emulator.network import Stop
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import DatasheetError, load
from hil.cli import main
from hil.counterparts.opening.address import AddressError
from hil.counterparts.opening.bench import open_bench
from hil.counterparts.opening.wire import open_crossbar, protocol_of


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("", "a scheme is missing"),
        ("reference", "a scheme is missing"),
        ("mixed-8bit", "a scheme is missing"),
        ("simulator:ideal", "unknown scheme 'simulator'"),
        ("Reference:", "unknown scheme 'Reference'"),
        ("reference:?seed=1", "unknown option seed; known: arithmetic, over_relaxation"),
        ("reference:fast", "unknown option fast"),
        ("reference:?over_relaxation=2", "over_relaxation must be a number from 1 to below 2, got 2"),
        ("reference:?over_relaxation=nan", "over_relaxation must be a number from 1 to below 2, got nan"),
        ("reference:?over_relaxation=much", "over_relaxation must be a number, got 'much'"),
        ("reference:?arithmetic=half", "arithmetic must be full or mixed, got 'half'"),
        ("emulator:ideal?sead=1", "unknown option sead; known: seed"),
        ("emulator:ideal?seed=one", "seed must be an integer, got 'one'"),
        ("emulator:ideal?seed=", "seed must be an integer, got ''"),
        ("emulator:ideal?seed=1&seed=2", "seed is given twice"),
    ],
)
def test_a_bad_address_is_refused_with_the_address_and_what_is_wrong(address, expected):
    with pytest.raises(AddressError) as caught:
        open_bench(address)
    assert repr(address) in str(caught.value)
    assert expected in str(caught.value)


@pytest.mark.parametrize("address", ["", "chip:7"])
def test_an_unknown_form_is_answered_with_the_known_ones(address):
    with pytest.raises(AddressError, match=r"emulator:DATASHEET\?seed=N"):
        open_bench(address)


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("/dev/ttyUSB0", "serial:/dev/ttyUSB0"),
        ("socket://127.0.0.1:7001", "serial:socket://127.0.0.1:7001"),
        ("TCPIP::127.0.0.1::5025::SOCKET", "visa:TCPIP::127.0.0.1::5025::SOCKET"),
        ("mixed-8bit?seed=1", "emulator:mixed-8bit?seed=1"),
    ],
)
def test_an_address_without_its_scheme_is_answered_with_the_whole_one(address, hint):
    for opening in (open_bench, open_crossbar, protocol_of):
        with pytest.raises(AddressError, match=re.escape(f"Did you mean {hint}?")):
            opening(address)
    if not hint.startswith("emulator:"):
        with pytest.raises(BadAddress, match=re.escape(f"Did you mean {hint}?")):
            Address.parse(address)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("serial:/dev/ttyUSB0?baud=fast", "baud is 'fast', a positive integer is needed"),
        ("serial:/dev/ttyUSB0?bauds=9600", "unknown option bauds"),
        ("emulator:mixed-7bit", "neither a shipped datasheet"),
        ("simulator:ideal", "unknown scheme"),
        ("bench:nowhere.toml#chip", "nowhere.toml: not readable"),
    ],
)
def test_a_bad_address_is_bad_input_and_refused_before_the_data_are_read(tmp_path, capsys, address, expected):
    nothing = str(tmp_path / "no data here")
    with pytest.raises(SystemExit) as caught:
        main(["train", "mnist-dense", "--device", address, "--data-root", nothing, "--run-dir", str(tmp_path / "run")])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert expected in said and "no data here" not in said


def test_an_unknown_datasheet_is_refused_with_the_shipped_ones():
    with pytest.raises(DatasheetError, match=r"mixed-7bit: neither a shipped datasheet .*mixed-8bit"):
        open_bench("emulator:mixed-7bit")


def test_a_datasheet_may_be_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    from importlib import resources

    path.write_text((resources.files("firmware_specs.datasheets") / "ideal.toml").read_text())
    with open_bench(f"emulator:{path}?seed=4") as bench:
        assert bench.chip.datasheet == load("ideal")
        assert bench.chip.seed == 4
        assert bench.address == f"emulator:{path}?seed=4"


def test_the_stop_given_is_the_references():
    array = open_bench("reference:", stop=Stop(3, 0)).place(dense_chain([2, 2]))
    array.program({"weight_0": torch.eye(2), "bias_0": torch.zeros(2)})
    assert array.settle(torch.ones(1, 2)).phases[0].iterations.tolist() == [3]
