import pytest
import torch

from emulator.network import Stop
from firmware_specs.datasheet import DatasheetError, load
from firmware_specs.topology import dense_chain
from hil.bench import AddressError, open_bench


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
        ("emulator:ideal?seed=1&seed=2", "an option is given twice"),
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
