"""One thread where more are not faster, and not where somebody asked for a number."""

from pathlib import Path

import pytest
import torch

from emulator import chain_compiled
from emulator.compiled import library
from firmware_specs import datasheets
from firmware_specs.chains import conv_chain, dense_chain, resistive_chain
from hil.counterparts.opening.bench import open_bench
from hil.learning.block import EnergyBlock
from hil.training import threads


@pytest.fixture
def four(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def untimed(monkeypatch):
    monkeypatch.setattr(threads, "_fastest", lambda *_: pytest.fail("timed"))


@pytest.fixture
def model():
    """Settles by tensors wherever it is."""
    with open_bench("reference:?arithmetic=mixed") as bench:
        yield torch.nn.Sequential(EnergyBlock(dense_chain([64, 16]), bench))


def timed(monkeypatch, one, many):
    """What the looks at the clock are to find."""

    def fastest(work, number):
        torch.set_num_threads(number)
        return one if number == 1 else many

    monkeypatch.setattr(threads, "_fastest", fastest)


def test_one_thread_is_taken_and_said_where_more_are_not_faster(four, model, monkeypatch):
    timed(monkeypatch, 1.0, 0.95)
    said = threads.choose(model, 32)
    assert (torch.get_num_threads(), "on one thread: 4 are not faster" in said) == (1, True)


def test_more_are_kept_where_they_are_faster(four, model, monkeypatch):
    timed(monkeypatch, 1.0, 0.5)
    assert (threads.choose(model, 32), torch.get_num_threads()) == ("", 4)


def test_the_environment_and_the_run_that_goes_on_decide_themselves(four, model, monkeypatch, tmp_path):
    timed(monkeypatch, 1.0, 2.0)
    (tmp_path / "provenance.json").write_text('{"sessions": [{"threads": 2}, {"threads": 3}]}', encoding="utf-8")
    assert (threads.choose(model, 32, tmp_path), torch.get_num_threads()) == ("", 2)
    torch.set_num_threads(4)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert (threads.choose(model, 32), torch.get_num_threads()) == ("", 4)


def test_the_clock_is_really_looked_at(four, model):
    threads.choose(model, 32)
    assert torch.get_num_threads() in (1, 4)


def test_large_layers_are_not_timed(four, untimed):
    with open_bench("reference:") as bench:
        big = torch.nn.Sequential(EnergyBlock(dense_chain([1024, 1024]), bench))
        assert threads.choose(big, 64) == ""


@pytest.mark.parametrize("address", ["reference:", "emulator:mixed-8bit?seed=1"])
@pytest.mark.parametrize(("batch", "taken"), [(32, 1), (20_000, 4)])
def test_compiled_blocks_have_threads_by_size_however_busy_the_machine_is(four, untimed, address, batch, taken):
    pytest.importorskip("llvmlite")
    with open_bench(address) as bench:
        compiled = torch.nn.Sequential(EnergyBlock(dense_chain([64, 16]), bench))
        said = threads.choose(compiled, batch)
    assert (torch.get_num_threads(), "on one thread" in said) == (taken, taken == 1)


@pytest.mark.parametrize("topology", [dense_chain([64, 16]), conv_chain((1, 8, 8), [4])], ids=["dense", "conv"])
def test_threads_are_timed_where_tensors_settle_one_of_the_blocks(four, monkeypatch, topology):
    timed(monkeypatch, 1.0, 0.5)
    other = "reference:?arithmetic=mixed" if len(topology.layers[0].shape) == 1 else "reference:"
    with open_bench("reference:") as bench, open_bench(other) as beside:
        both = torch.nn.Sequential(EnergyBlock(dense_chain([64, 16]), bench), EnergyBlock(topology, beside))
        assert (threads.choose(both, 32), torch.get_num_threads()) == ("", 4)


def test_threads_of_blocks_are_timed_without_a_compiler_too(four, monkeypatch):
    timed(monkeypatch, 1.0, 0.5)
    monkeypatch.setattr(chain_compiled, "library", lambda: None)
    with open_bench("reference:") as bench:
        plain = torch.nn.Sequential(EnergyBlock(dense_chain([64, 16]), bench))
        assert (threads.choose(plain, 32), torch.get_num_threads()) == ("", 4)


SHEETS = ("ideal", "mixed-8bit", "reram", "ecram", "pcm", "rram-array", "self-updating", "transient")


@pytest.mark.parametrize(
    "address", ["reference:", "reference:?arithmetic=mixed", *(f"emulator:{name}?seed=1" for name in SHEETS)]
)
def test_what_says_that_it_is_compiled_is(monkeypatch, tmp_path, address):
    pytest.importorskip("llvmlite")
    usual, ran, whole = torch.get_num_threads(), [], chain_compiled._Phase.run
    monkeypatch.setattr(chain_compiled._Phase, "run", lambda *given: ran.append(given) or whole(*given))
    if "transient" in address:
        address = f"emulator:{transient(tmp_path / 'sheet.toml')}?seed=1"
    torch.set_num_threads(1)
    try:
        with open_bench(address) as bench:
            block = EnergyBlock(dense_chain([8, 4]), bench)
            said = threads._compiled(torch.nn.Sequential(block))
            ran.clear()
            block(torch.rand(3, 8))
    finally:
        torch.set_num_threads(usual)
    assert said == bool(ran) == (not address.endswith("mixed") and "sheet.toml" not in address)


def transient(path):
    """A chip whose states are read after a fixed time."""
    text = (Path(datasheets.__file__).parent / "mixed-8bit.toml").read_text(encoding="utf-8")
    for section, line in (("settle", 'mode = "transient"'), ("neurons", "node_capacitance_f = 1.0e-12")):
        text = text.replace(f"[{section}]\n", f"[{section}]\n{line}\n")
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("address", "topology", "dtype", "formed"),
    [
        ("reference:", dense_chain([12, 8]), torch.float32, 1),
        ("reference:", dense_chain([12, 8]), torch.float64, 0),
        ("reference:", conv_chain((1, 8, 8), [4]), torch.float32, 0),
        ("reference:", resistive_chain(12, [8]), torch.float32, 0),
        ("reference:?arithmetic=mixed", dense_chain([12, 8]), torch.float32, 0),
        ("emulator:mixed-8bit?seed=1", dense_chain([12, 8]), torch.float32, 1),
        ("emulator:mixed-8bit?seed=1", conv_chain((1, 8, 8), [4]), torch.float32, 1),
        ("emulator:mixed-8bit?seed=1", dense_chain([12, 8]), torch.float64, 0),
        ("emulator:arc-two-32x32-like?seed=1", dense_chain([12, 8]), torch.float32, 0),
    ],
)
def test_functions_are_formed_beside_a_beginning_run_where_its_blocks_call_them(
    monkeypatch, address, topology, dtype, formed
):
    told = list[None]()
    monkeypatch.setattr(library, "form_beside", lambda: told.append(None))
    monkeypatch.setattr(chain_compiled, "library", lambda: pytest.fail("formed at once"))
    with open_bench(address, dtype=dtype) as bench:
        threads.form_beside(torch.nn.Sequential(EnergyBlock(topology, bench)).to(dtype))
    assert len(told) == formed


def test_nothing_is_formed_for_blocks_that_several_threads_settle(four, monkeypatch):
    monkeypatch.setattr(library, "form_beside", lambda: pytest.fail("formed"))
    with open_bench("reference:") as bench:
        threads.form_beside(torch.nn.Sequential(EnergyBlock(dense_chain([12, 8]), bench)))
