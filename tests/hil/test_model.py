import pytest
import torch

from hil.counterparts.opening.bench import open_bench
from hil.counterparts.seam import PlacementError
from hil.experiments.schema import Experiment
from hil.learning.initial import symmetric_kernels
from hil.learning.model import ModelError, build, energy_blocks

CONV = {
    "feedforward": [{"kind": "conv", "channels": 4, "bias": False}, {"kind": "max_pool"}, {"kind": "batch_norm"}],
    "energy": {"couplings": [{"kind": "conv", "channels": 6, "pool": True}, {"kind": "dense", "units": 5}]},
}
DENSE = {"feedforward": [{"kind": "linear", "units": 7}], "energy": {"couplings": [{"kind": "dense", "units": 3}]}}


def experiment(*blocks, **more):
    return Experiment.model_validate({"data": {"name": "digits"}, "blocks": list(blocks), **more})


def test_a_chain_has_named_parts_and_the_layers_the_experiment_asks_for():
    model = build(experiment(CONV, DENSE), open_bench("reference:"), (1, 8, 8), 10)
    blocks = energy_blocks(model)
    assert list(blocks) == ["block_1.energy", "block_2.energy"]
    assert [layer.shape for layer in blocks["block_1.energy"].topology.layers] == [(4, 4, 4), (6, 2, 2), (5,)]
    assert [layer.clamped for layer in blocks["block_1.energy"].topology.layers] == [True, True, False]
    assert model(torch.rand(2, 1, 8, 8)).shape == (2, 10)
    assert not [name for name, _ in model.named_parameters() if "feedforward.2" in name]  # batch norm is frozen


def test_weights_depend_on_the_seed_and_leave_the_default_generator_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    models = [
        build(experiment(DENSE, run={"seed": seed}, data={"name": "digits"}), open_bench("reference:"), (4,), 10)
        for seed in (1, 1, 2)
    ]
    assert torch.equal(torch.get_rng_state(), before)
    weights = [torch.cat([p.flatten() for p in model.parameters()]) for model in models]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_without_readout_the_last_layer_holds_the_class_scores():
    model = build(experiment(DENSE, readout="none"), open_bench("reference:"), (4,), 3)
    assert model(torch.rand(2, 4)).shape == (2, 3)
    with pytest.raises(ModelError, match=r"last layer has shape \(3,\), the data has 10 classes"):
        build(experiment(DENSE, readout="none"), open_bench("reference:"), (4,), 10)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"feedforward": [{"kind": "conv", "channels": 2}], "energy": {}}, r"blocks\.0\.feedforward\.0 \(conv\)"),
        ({"energy": {"couplings": [{"kind": "conv", "channels": 2}]}}, r"blocks\.0\.energy: a conv coupling needs"),
    ],
)
def test_parts_that_do_not_fit_are_named(block, expected):
    with pytest.raises(ModelError, match=expected):
        build(experiment(block), open_bench("reference:"), (4,), 10)


def test_a_block_that_does_not_fit_the_chip_is_refused_with_the_reason():
    large = {"energy": {"couplings": [{"kind": "dense", "units": 2000}]}}
    with pytest.raises(PlacementError, match="2000"):
        build(experiment(large), open_bench("emulator:discrete-board"), (4,), 10)


def test_goe_kernels_are_symmetric_with_the_published_variances():
    torch.manual_seed(0)
    kernels = symmetric_kernels(torch.empty(200, 200, 3, 3, dtype=torch.float64), 3e-4)
    assert torch.equal(kernels, kernels.transpose(-1, -2))
    # 40,000 draws: the sampling error of a variance is 0.7 %
    assert kernels[..., 0, 1].var().item() == pytest.approx(1e-4, rel=0.03)
    assert kernels[..., 1, 1].var().item() == pytest.approx(8e-4, rel=0.03)


def test_a_gain_multiplies_weights_and_leaves_biases():
    plain, small = (
        build(experiment(CONV, init={"kind": "uniform", "gain": gain}), open_bench("reference:"), (1, 8, 8), 10)
        for gain in (1.0, 0.6)
    )
    for (name, a), b in zip(plain.named_parameters(), small.parameters(), strict=True):
        assert torch.allclose(b, a * (0.6 if a.dim() > 1 else 1.0)), name
    assert sum(p.dim() > 1 for p in small.parameters()) == 4


def test_goe_experiments_draw_every_convolution_and_zero_its_bias():
    model = build(experiment(CONV, init={"kind": "goe", "variance": 1e-6}), open_bench("reference:"), (1, 8, 8), 10)
    energy = energy_blocks(model)["block_1.energy"]
    assert energy.weight_0.abs().max() < 0.01
    assert torch.count_nonzero(energy.bias_0) == 0
    assert torch.count_nonzero(energy.bias_1) > 0  # dense stays torch's own
