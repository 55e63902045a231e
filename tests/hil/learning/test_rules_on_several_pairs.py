"""Several pairs of cells a weight: what is carried between pairs, and rules that move and read the first one alone."""

import pytest
import torch

from emulator.chip import Chip
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.registry import find, names
from hil.counterparts.cell_array import pair_span
from hil.counterparts.emulator import EmulatorBench
from hil.learning.updates import symmetric_point
from hil.learning.updates.residual import Residual

TWO_ARRAYS = [name for name in names("updates") if find("updates", name).beside]
NONE = torch.zeros(4, 4, dtype=torch.float64)


def arrays_of(count=1, step=0.01, base="ideal", **cells):
    document = load(base).model_dump(exclude_unset=True)
    document["cells"] |= cells
    if base == "ideal":
        document["pulses"] = {"law": "constant", "step": step}
        document["neurons"]["transimpedance_ohm"] = 1e3
    bench = EmulatorBench(Chip(Datasheet.model_validate(document), 1, dtype=torch.float64), "emulator:test")
    return [bench.place(dense_chain([4, 4], bias=False)) for _ in range(count)]


@pytest.mark.parametrize(
    ("step", "significance", "held"), [(0.005, 0.5, 80), (0.005, 0.5, 200), (0.1, 0.5, 2), (0.01, 1 / 16, 80)]
)
def test_what_is_carried_leaves_the_sum_as_it_was_however_much_is_held(step, significance, held):
    (array,) = arrays_of(step=step, pairs=2, significance=significance)
    array.prepare({"weight_0": torch.zeros(4, 4)})
    draws = torch.Generator().manual_seed(0)
    rule = Residual(carry=True, search=0, every=1).begin([array])
    rule.step([NONE], 1.0, draws)
    array.send(0, torch.full((4, 4), held), held, draws, 1)
    total = array.weights(0, slice(None), 1)
    for _ in range(20):
        rule.step([NONE], 1.0, draws)
        assert torch.allclose(array.weights(0, slice(None), 1), total, atol=1e-6)
    left = array.weights(0, slice(None), 1, 1) * significance
    assert float(left.abs().max()) < array.pulse_step() * 1.001
    assert float(array.weights(0, slice(None), 1, 0).min()) >= (held * significance // 1) * step - 1e-6


def test_carrying_is_refused_where_the_finer_pair_could_never_give_a_pulse_back():
    with pytest.raises(ValueError, match=r"update\.carry.*worth 100 .*update\.most to 50 or more"):
        Residual(carry=True).begin(arrays_of(pairs=2, significance=0.01))
    Residual(carry=True, most=50).begin(arrays_of(pairs=2, significance=0.01))
    Residual().begin(arrays_of(pairs=2, significance=0.01))


@pytest.mark.parametrize("search", [0, 20])
@pytest.mark.parametrize("kind", TWO_ARRAYS)
def test_a_fast_array_is_read_where_it_is_pulsed(kind, search):
    found = []
    for moved in (0, 40):
        slow, fast = arrays_of(2, pairs=3, significance=0.5)
        slow.prepare({"weight_0": torch.zeros(4, 4)})
        draws = torch.Generator().manual_seed(0)
        rule = find("updates", kind)(search=search, lr=0.1).begin([slow, fast])
        rule.step([NONE], 1.0, draws)
        fast.send(0, torch.full((4, 4), moved), 100, torch.Generator().manual_seed(1), 1)
        rule.step([NONE + 1], 1.0, draws)
        found.append((rule.state_dict()["h_0"], slow.weights(0, slice(None), 1)))
    assert torch.allclose(found[0][0], found[1][0], atol=1e-6)
    assert torch.allclose(found[0][1], found[1][1], atol=1e-6)


def test_further_pairs_make_no_search_for_a_symmetric_point_longer():
    one, three = (arrays_of(base="reram-few-levels", pairs=pairs)[0] for pairs in (1, 3))
    assert pair_span(one) == pytest.approx(pair_span(three))
    assert symmetric_point.pairs_needed(one, 1000) == symmetric_point.pairs_needed(three, 1000) == 15


@pytest.mark.parametrize("kind", TWO_ARRAYS)
def test_further_pairs_do_not_lengthen_what_a_fast_array_remembers(kind):
    kept = []
    for pairs in (1, 3):
        arrays = arrays_of(2, pairs=pairs, significance=0.5)
        kept.append(find("updates", kind)(lines=1).begin(arrays)._kept(0))
    assert kept[0] == pytest.approx(kept[1]) and kept[0] > 1
