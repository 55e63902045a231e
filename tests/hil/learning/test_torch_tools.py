"""PyTorch's own tools around a block: the same numbers, or one sentence."""

import copy
import io
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, prune, vector_to_parameters
from torch.nn.utils.parametrizations import weight_norm

from hil import EnergyBlock, dense_chain, open_bench
from hil.learning.surroundings import NoSecondDerivative, NotTraceable

ADDRESSES = ("reference:", "emulator:mixed-8bit?seed=1")
each_counterpart = pytest.mark.parametrize("address", ADDRESSES)


def chain(bench, first=None):
    torch.manual_seed(0)
    block = EnergyBlock(dense_chain([16, 12], slope=0.5), bench, observer=lambda settled: None)
    return nn.Sequential(first or nn.Linear(8, 16), block, nn.ReLU(), nn.Linear(12, 3))


def batch(samples=5):
    return torch.randn(samples, 8, generator=torch.Generator().manual_seed(1))


from_torch = pytest.mark.filterwarnings(
    "ignore:.*torch.jit.script.* is deprecated:DeprecationWarning", "ignore:The .grad attribute of a Tensor"
)
"""Of what torch's own tools warn on the way."""


def step(address, around=lambda model: model, inputs=None, cast=lambda model: model):
    """Output and gradients of one step."""
    with open_bench(address) as bench:
        model = cast(chain(bench))
        outputs = around(model)(batch() if inputs is None else inputs)
        outputs.float().square().sum().backward()
        return [outputs.detach(), *(p.grad for p in model.parameters())]


def same(ours, theirs, **tolerance):
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, **(tolerance or {"rtol": 0, "atol": 0}))


@from_torch
@each_counterpart
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_model_gives_the_same_numbers(address, backend):
    torch._dynamo.reset()
    same(step(address), step(address, lambda model: torch.compile(model, backend=backend)))


@from_torch
def test_a_compiled_loss_and_optimizer_step_train_the_same_weights():
    def trained(compiled):
        torch._dynamo.reset()
        with open_bench("reference:") as bench:
            model, images = chain(bench), batch()
            optimizer = torch.optim.SGD(model.parameters(), 0.1)

            def loss():
                return model(images).square().mean()

            def advance():
                optimizer.step()

            tool = (lambda f: torch.compile(f, backend="eager")) if compiled else (lambda f: f)
            measure, move = tool(loss), tool(advance)
            for _ in range(3):
                optimizer.zero_grad()
                measure().backward()
                move()
            return [p.detach().clone() for p in model.parameters()]

    same(trained(False), trained(True), rtol=1e-5, atol=1e-7)  # torch 2.5 adds in another order


@each_counterpart
def test_autocast_leaves_a_block_in_its_own_precision(address):
    with open_bench(address) as bench:
        model = chain(bench)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = model(batch())
            outputs.float().square().sum().backward()
    assert outputs.dtype == torch.bfloat16
    assert all(p.grad.dtype == p.dtype == torch.float32 for p in model.parameters())
    with open_bench(address) as bench:
        model = chain(bench, nn.Identity())
        drive = torch.randn(5, 16, generator=torch.Generator().manual_seed(2))
        plain = model[1](drive)
    with open_bench(address) as bench:
        block = chain(bench, nn.Identity())[1]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            same([plain], [block(drive)])


def test_backward_inside_autocast_is_the_same_as_outside():
    found = []
    for inside in (False, True):
        with open_bench("reference:") as bench:
            block = chain(bench)[1]
            drive = torch.randn(5, 16, generator=torch.Generator().manual_seed(2))
            loss = block(drive).square().sum()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=inside):
                loss.backward()
            found.append([p.grad for p in block.parameters()])
    same(*found)


@pytest.mark.parametrize(
    "tool",
    [
        lambda model: torch.jit.trace(model, batch()),
        lambda model: torch.jit.script(model),
        lambda model: torch.jit.script(model[1]),
        lambda model: torch.export.export(model, (batch(),)),
        lambda model: torch.export.export(model, (batch(),), strict=True),
    ],
    ids=["trace", "script", "script of a block", "export", "strict export"],
)
@each_counterpart
def test_recording_is_refused_in_a_sentence(tool, address):
    # strict export of torch 2.5 stops before the block could say it, in words of its own
    refusal = pytest.raises(Exception, match=r"cannot be exported or traced|call torch._dynamo.disable\(\)")
    with open_bench(address) as bench, refusal as refused, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tool(chain(bench))
    said = str(refused.value)
    assert isinstance(refused.value, NotTraceable) or "NotTraceable" in said or "in forward" in said


def hessian(model):
    return torch.autograd.functional.hessian(lambda x: model(x).sum(), batch(1))


def graph_of_gradients(model):
    x = batch().requires_grad_()
    return torch.autograd.grad(model(x).sum(), x, create_graph=True)


@pytest.mark.parametrize(
    "tool",
    [hessian, graph_of_gradients, lambda m: torch.autograd.functional.jvp(m, batch(), batch())],
    ids=["hessian", "create_graph", "jvp"],
)
@each_counterpart
def test_second_derivatives_are_refused_in_a_sentence(tool, address):
    with open_bench(address) as bench, pytest.raises(NoSecondDerivative, match="has first derivatives only"):
        tool(chain(bench))


@from_torch
def test_forward_mode_is_refused_in_a_sentence():
    with open_bench("reference:") as bench, torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(batch(), torch.ones(5, 8))
        with pytest.raises(NoSecondDerivative, match="has first derivatives only"):
            chain(bench)(dual)


@from_torch
@pytest.mark.parametrize(
    "tool",
    [
        lambda m: torch.func.vmap(m)(batch()[:, None]),
        lambda m: torch.func.grad(lambda x: m(x).sum())(batch()),
        lambda m: torch.func.jvp(m, (batch(),), (batch(),)),
        lambda m: torch.func.jacrev(m)(batch()),
    ],
    ids=["vmap", "grad", "jvp", "jacrev"],
)
def test_transforms_of_torch_func_are_refused_in_a_sentence(tool):
    with open_bench("reference:") as bench, pytest.raises(NotTraceable, match=r"cannot be transformed by torch\.func"):
        tool(chain(bench))


# what was tried and right stays right


@pytest.mark.parametrize("name", ["half", "bfloat16", "double"])
@each_counterpart
def test_a_model_in_another_precision_answers_in_it(address, name):
    with open_bench(address) as bench:
        model = getattr(chain(bench), name)()
        inputs = getattr(batch(), name)()
        outputs = model(inputs)
        outputs.float().sum().backward()
    assert outputs.dtype == inputs.dtype
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_inference_mode_between_steps_changes_nothing():
    def trained(looks):
        with open_bench("reference:") as bench:
            model = chain(bench)
            optimizer = torch.optim.Adam(model.parameters(), 1e-2)
            for _ in range(3):
                optimizer.zero_grad()
                model(batch()).square().mean().backward()
                optimizer.step()
                if looks:
                    with torch.inference_mode():
                        model(batch(2))
            return [p.detach().clone() for p in model.parameters()]

    same(trained(False), trained(True))


def test_weight_norm_and_dynamic_quantization_of_neighbours():
    with open_bench("reference:") as bench:
        model = chain(bench, weight_norm(nn.Linear(8, 16)))
        model(batch()).sum().backward()
        assert all(p.grad is not None for p in model.parameters())
    with open_bench("reference:") as bench, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = chain(bench)
        quantized = torch.ao.quantization.quantize_dynamic(model, {nn.Linear})
        torch.testing.assert_close(quantized(batch()), model(batch()), rtol=0.1, atol=0.05)


def test_data_parallel_on_a_cpu_is_the_model():
    same(step("reference:"), step("reference:", nn.DataParallel))


def test_shared_memory_keeps_numbers():
    same(step("reference:"), step("reference:", cast=lambda model: model.share_memory()))


# weights reach the array, however they were written


def by_data(model):
    model[1].weight_0.data = model[1].weight_0.data * 0.5


def in_place_data(model):
    model[1].weight_0.data.mul_(0.5)


def by_vector(model):
    vector_to_parameters(parameters_to_vector(model.parameters()) * 0.5, model.parameters())


def by_permutation(model):
    model[1].weight_0.data = model[1].weight_0.data.flip(0)


def by_averaging(model):
    with torch.no_grad():
        torch._foreach_lerp_([p.data for p in model.parameters()], [p.data * 0 for p in model.parameters()], 0.5)


def by_loading(model):
    model.load_state_dict({name: value * 0.5 for name, value in model.state_dict().items()})


@pytest.mark.parametrize("write", [by_data, in_place_data, by_vector, by_permutation, by_averaging, by_loading])
@each_counterpart
def test_weights_reach_the_array_however_they_are_written(address, write):
    with open_bench(address) as bench:
        model = chain(bench)
        model(batch())
        write(model)
        seen = []
        model[1].array.program = lambda parameters: seen.append({k: v.clone() for k, v in parameters.items()}) or Done()
        with pytest.raises(Stop):
            model[1].array.settle = stop
            model(batch())
    assert len(seen) == 1
    same(seen[0].values(), [p.detach() for p in model[1].parameters()])


class Stop(Exception):
    """The array was reached."""


def stop(*_):
    raise Stop


class Done:
    clipped, cells = 0, 0


def test_pruned_weights_are_what_the_array_gets_and_gradients_reach_the_originals():
    with open_bench("reference:") as bench:
        model = chain(bench)
        prune.l1_unstructured(model[1], "weight_0", amount=0.5)
        outputs = model(batch())
        outputs.sum().backward()
        masked = model[1].weight_0_orig * model[1].weight_0_mask
    assert float((model[1].weight_0_orig.grad * (1 - model[1].weight_0_mask)).abs().max()) == 0
    assert float(model[1].weight_0_orig.grad.abs().max()) > 0
    with open_bench("reference:") as bench:
        plain = chain(bench)
        plain[1].weight_0.data = masked.detach()
        same([outputs], [plain(batch())])


def test_precision_changes_after_the_first_forward_reach_the_array():
    with open_bench("reference:") as bench:
        model = chain(bench)
        single = model(batch())
        double = model.double()(batch().double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-5)


@each_counterpart
def test_nothing_is_programmed_when_nothing_changed(address):
    with open_bench(address) as bench:
        model, seen = chain(bench), []
        model(batch())
        model[1].array.program = seen.append
        for _ in range(3):
            model(batch()).sum().backward()
    assert seen == []


# copies


@each_counterpart
def test_a_copy_has_an_array_of_its_own(address):
    with open_bench(address) as bench:
        model = chain(bench)
        model(batch())
        twin = copy.deepcopy(model)
        with torch.no_grad():
            twin[1].weight_0.mul_(0)
        assert twin[1].array is not model[1].array
        twin(batch())
        assert float(model[1].weight_0.detach().abs().max()) > 0


def test_an_optimizer_projects_the_blocks_of_a_copy_too():
    from firmware_specs.chains import resistive_chain
    from hil import Topology

    topology = resistive_chain(4, [3])
    assert isinstance(topology, Topology)
    with open_bench("reference:") as bench:
        block = copy.deepcopy(EnergyBlock(topology, bench, observer=lambda settled: None))
        optimizer = torch.optim.SGD(block.parameters(), 1e3)
        block(torch.rand(6, 4)).sum().backward()
        optimizer.step()
    assert float(block.weight_0.detach().min()) >= 0


@each_counterpart
def test_a_model_is_pickled_and_saved_whole(address):
    with open_bench(address) as bench:
        model = chain(bench)
        model[1].observer = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model(batch())
            file = io.BytesIO()
            torch.save(model, file)
            file.seek(0)
            again = torch.load(file, weights_only=False)
            assert type(pickle.loads(pickle.dumps(model))) is nn.Sequential
            again(batch())
    same(model.state_dict().values(), again.state_dict().values())
