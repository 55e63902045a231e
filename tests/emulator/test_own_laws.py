"""Pulse, drift and noise laws from outside the package, in a datasheet; refused where nobody named them."""

import sys

import pytest
import torch

from emulator.chip import Chip
from emulator.crossbar import EVERYWHERE
from firmware_specs import registry
from firmware_specs.datasheet import DatasheetError
from firmware_specs.datasheet.load import parse, text_of
from firmware_specs.registry import KINDS, lookup, modules
from firmware_specs.topology import Dense, Layer, Topology

MODULE = '''
from firmware_specs.registry import register

@register("laws", "bending")
def bending(pulses, x, up, *, bend=1.0):
    """Steps that shrink by a power."""
    return (1 - x) ** bend if up else x ** bend

@register("noises", "growing")
def growing(noise, cells, conductance_s, age_s, *, share):
    """A share of the range, more with the square of the conductance."""
    return share * conductance_s ** 2 / cells.g_max_s

@register("drifts", "falling")
def falling(drift, cells, written_s, elapsed_s, xi, walk_s, *, rate):
    """A fixed rate."""
    return written_s - rate * elapsed_s.to(written_s.dtype) * (1 + 0 * xi)

falling.predicted = lambda seconds, g_s, g_max_s, *, rate: rate * seconds / g_s
'''
SHAPE = (2, 5, 3)  # planes, rows with the bias line, columns
TOPOLOGY = Topology(layers=(Layer(shape=(4,)), Layer(shape=(3,))), couplings=(Dense(pre=0, post=1),))


@pytest.fixture
def laws(tmp_path, monkeypatch):
    monkeypatch.setattr(lookup, "_registered", {kind: {} for kind in KINDS})
    monkeypatch.setattr(modules, "_trusted", set())
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "my_laws.py").write_text(MODULE, encoding="utf-8")
    yield "my_laws"
    sys.modules.pop("my_laws", None)


def sheet(**sections):
    """The ideal chip with other laws."""
    text = text_of("discrete-board")
    kept, skip = [], False
    for line in text.splitlines():
        if line.startswith("["):
            skip = line.strip("[]") in sections
        if not skip:
            kept.append(line)
    for name, lines in sections.items():
        kept += [f"[{name}]", *lines]
    return parse("\n".join(kept), "mine.toml")


PULSES = ["step = 0.02", "amplitude_v = 1.0", "width_s = 1e-6"]


def chip_with(**sections):
    chip = Chip(sheet(**sections), 1, dtype=torch.float64)
    chip.configure(0, TOPOLOGY)
    return chip


def test_a_pulse_law_of_ones_own_moves_cells_as_the_shipped_one_it_equals(laws):
    registry.plugin(laws)
    own = chip_with(pulses=["law = 'bending'", "figures = {bend = 2.0}", *PULSES])
    shipped = chip_with(pulses=["law = 'power'", "gamma_up = 2.0", "gamma_down = 2.0", *PULSES])
    for chip in (own, shipped):
        chip.pulse(0, 0, EVERYWHERE, 30, True)
        chip.pulse(0, 0, EVERYWHERE, 5, False)
    assert torch.equal(own.conductances_s(0)[0], shipped.conductances_s(0)[0])
    assert float(own.conductances_s(0)[0].mean()) > own.datasheet.cells.g_min_s


def test_a_noise_law_of_ones_own_is_what_readings_scatter_by(laws):
    registry.plugin(laws)
    chip = chip_with(read_noise=["law = 'growing'", "figures = {share = 0.05}"])
    cells = chip.datasheet.cells
    chip.program(0, [torch.full(SHAPE, cells.g_max_s / 2, dtype=torch.float64)])
    true_s = chip.conductances_s(0)[0]
    seen = chip.measure(0, 0, EVERYWHERE, [chip.datasheet.limits.max_read_v], reads=4000)[0]
    spread = seen.std(0) / chip.datasheet.limits.max_read_v
    assert torch.allclose(spread, 0.05 * true_s**2 / cells.g_max_s, rtol=0.06)


def test_a_drift_law_of_ones_own_is_what_conductances_follow_and_refreshes_are_planned_by(laws):
    registry.plugin(laws)
    chip = chip_with(drift=["law = 'falling'", "figures = {rate = 1e-9}"])
    cells = chip.datasheet.cells
    chip.program(0, [torch.full(SHAPE, cells.g_max_s, dtype=torch.float64)])
    before = chip.conductances_s(0)[0]
    chip.wait(1000.0)
    assert torch.allclose(before - chip.conductances_s(0)[0], torch.tensor(1e-6, dtype=torch.float64), rtol=1e-6)
    chip.wait(1e9)
    assert float(chip.conductances_s(0)[0].min()) == 0.0
    drift = chip.datasheet.drift
    assert drift.predicted(100.0, 1e-5, 1e-4) == pytest.approx(1e-2)
    del sys.modules[laws].falling.predicted
    with pytest.raises(ValueError, match="does not say what it expects"):
        drift.predicted(100.0, 1e-5, 1e-4)


@pytest.mark.parametrize(
    ("section", "lines", "why"),
    [("pulses", ["law = 'bendign'", *PULSES], "'bendign' is not a pulse law; did you mean bending"),
     ("pulses", ["law = 'bending'", "figures = {bent = 2}", *PULSES], r"figures.bent.*did you mean bend\?"),
     ("pulses", ["law = 'linear'", "figures = {slope_up = 1}", *PULSES], "figures: of a law of one's own"),
     ("read_noise", ["law = 'growing'"], "figures.share: missing"),
     ("read_noise", ["law = 'relativ'", "sigma = 0.1"], "'relativ' is not a noise law; did you mean relative"),
     ("drift", ["law = 'pwer'"], "'pwer' is not a drift law; did you mean power"),
     ("drift", ["law = 'falling'", "figures = {rate = 'fast'}"], "number"),
     ("pulses", ["law = 'my_laws:flat'", *PULSES], "my_laws, which nobody has named")],
)  # fmt: skip
def test_wrong_laws_and_figures_are_refused_in_a_sentence(laws, section, lines, why):
    registry.plugin(laws)
    modules._trusted.clear()
    with pytest.raises(DatasheetError, match=rf"mine.toml: {section}.*{why}"):
        sheet(**{section: lines})


def test_a_datasheet_alone_imports_nothing(laws):
    with pytest.raises(DatasheetError, match="add --plugin my_laws"):
        sheet(pulses=["law = 'my_laws:bending'", *PULSES])
    assert laws not in sys.modules
