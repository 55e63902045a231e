"""`update.kind = "device"`: the chip learns what equilibrium propagation would; offsets spoil it, remedies mend it."""

import pytest
import torch

from emulator.chip import Chip
from firmware_specs.chains import dense_chain, resistive_chain
from firmware_specs.datasheet import load
from hil.counterparts.emulator import EmulatorBench
from hil.data import load as load_data
from hil.experiments.experiment_file import load as load_experiment
from hil.experiments.sections import Data
from hil.learning.block import EnergyBlock
from hil.learning.estimator import Estimator
from hil.learning.model import ModelError, build
from hil.learning.updates.device import ByDevice
from hil.training.update import CellUpdates

pytestmark = pytest.mark.filterwarnings("ignore::hil.learning.inputs.SettlingWarning")

SHEETS = {"hopfield": "self-updating", "resistive": "self-updating-resistive"}
BLOCKS = {"hopfield": dense_chain([6, 5, 3]), "resistive": resistive_chain(6, [5, 3])}
SOUND = {"gain_spread": 0.0, "bias_spread": 0.0, "limit": None}


def trained(substrate, settings, circuit, estimator=None, steps=1):
    """The block of a chip with such circuits, what its cells held, and what they hold after a few steps."""
    sheet = load(SHEETS[substrate])
    sheet = sheet.model_copy(update={"update": sheet.update.model_copy(update=SOUND | circuit)})
    counterpart = EmulatorBench(Chip(sheet, 0, dtype=torch.float64), "emulator:test")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        block = EnergyBlock(
            BLOCKS[substrate], counterpart, estimator or Estimator(beta=0.05, auto_range=False), pulsed=True
        )
        drive = torch.rand(8, 6, dtype=torch.float64) * 2 - 0.5
        with torch.no_grad():
            for name, parameter in block.named_parameters():
                low = 0.1 if substrate == "resistive" and name[0] == "w" else -0.2
                parameter.uniform_(low, 0.6)
    block = block.double()
    updates = CellUpdates(torch.nn.Sequential(block), settings, seed=0)
    assert updates.host_parameters == []
    block.program()
    before = block.array.cell_parameters(1)
    for step in range(steps):
        loss(block, drive).backward()
        sent = updates.step(step)
        assert sent.cells == sum(value.numel() for value in before.values())
    return block, drive, before, block.array.cell_parameters(1)


def loss(block, drive):
    return (block(drive) - torch.tensor([0.5, -0.2, 0.1])).square().mean()


@pytest.mark.parametrize("estimator", [{"kind": "positive"}, {"kind": "negative"}, {"auto_range": True}])
@pytest.mark.parametrize("alternate", [False, True])
@pytest.mark.parametrize("substrate", SHEETS)
def test_a_step_goes_down_the_gradient_that_the_host_would_measure_by_the_learning_rate(
    substrate, alternate, estimator
):
    rule = Estimator(**({"beta": 0.5, "auto_range": False} | estimator))
    _, _, before, after = trained(substrate, ByDevice(lr=0.05, alternate=alternate), {}, rule)
    block, drive, *_ = trained(substrate, ByDevice(), {}, rule, steps=0)  # the same specimen, before the step
    block.estimator = rule
    loss(block, drive).backward()
    moved = torch.cat([(after[name] - before[name]).flatten() for name in before])
    wanted = torch.cat([-0.05 * parameter.grad.flatten() for _, parameter in block.named_parameters()])
    assert torch.cosine_similarity(moved, wanted, dim=0) > 0.97
    assert float(moved.norm() / wanted.norm()) == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize("substrate", SHEETS)
def test_alternating_polarities_take_an_offset_out_that_spoils_the_plain_update(substrate):
    found = {}
    for alternate in (False, True):
        for spread in (0.0, 0.05):
            *_, after = trained(substrate, ByDevice(lr=0.05, alternate=alternate), {"bias_spread": spread}, steps=4)
            found[alternate, spread] = torch.cat([value.flatten() for value in after.values()])
    plain, alternating = (float((found[a, 0.05] - found[a, 0.0]).abs().max()) for a in (False, True))
    assert alternating < plain / 20


@pytest.mark.parametrize("circuit", [{"bias_spread": 0.05}, {"injection_spread": 0.05}])
@pytest.mark.parametrize("substrate", SHEETS)
def test_a_measured_offset_is_taken_back_before_and_behind_the_polarity_switch(substrate, circuit):
    settings = {"lr": 0.05, "alternate": True, "correct_every": 4, "reads": 1}
    (*_, ideal), (*_, spoilt), (*_, mended) = (
        trained(substrate, ByDevice(zero_contrast=measured, **settings), spread, steps=4)
        for measured, spread in ((0, {}), (0, circuit), (1, circuit))
    )
    off = [max(float((one[n] - ideal[n]).abs().max()) for n in ideal) for one in (spoilt, mended)]
    noise = 5 * 0.001 * 2**0.5 * (10.0 if substrate == "resistive" else 1.0) * (1.0 if substrate == "hopfield" else 0.1)
    assert off[1] < max(off[0] / 3, noise), off


def test_what_cannot_be_is_said_in_a_sentence():
    data = load_data(Data(name="digits"), None)
    conv = load_experiment("digits-three-conv", ["update.kind='device'"])
    chip = EmulatorBench(Chip(load("self-updating"), 0), "emulator:self-updating")
    with pytest.raises(ModelError, match="dense couplings only"):
        build(conv, chip, data.shape, data.classes)
    cells = load_experiment("digits-cells", ["update.kind='device'", "estimator.dither=true"])
    model = build(cells, chip, data.shape, data.classes)
    with pytest.raises(ValueError, match="without dither"):
        CellUpdates(model, cells.update, 0)
    other = EmulatorBench(Chip(load("ecram"), 0), "emulator:ecram")
    plain = load_experiment("digits-cells", ["update.kind='device'"])
    with pytest.raises(ValueError, match=r"ecram cannot update itself: its datasheet has no section \[update\]"):
        CellUpdates(build(plain, other, data.shape, data.classes), plain.update, 0)
