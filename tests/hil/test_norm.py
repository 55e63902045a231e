import pytest
import torch
from torch import nn

from hil.learning.host import HostLayers
from hil.learning.norm import MapNorm


def maps(batch=16, dtype=torch.float32):
    x = torch.rand(batch, 8, 32, 32, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return x.to(dtype).contiguous(memory_format=torch.channels_last)


def norms(affine):
    both = MapNorm(8, affine=affine).double(), nn.BatchNorm2d(8, affine=affine).double()
    generator = torch.Generator().manual_seed(6)
    for values in zip(*(norm.parameters() for norm in both), strict=True):
        drawn = torch.randn(8, generator=generator, dtype=torch.float64)
        for value in values:
            value.data.copy_(drawn)
    return both


@pytest.mark.parametrize("affine", [False, True])
def test_map_norm_equals_torchs_in_value_gradient_and_running_statistics(affine):
    ours, theirs = norms(affine)
    x, y = maps(4, torch.float64).requires_grad_(), maps(4, torch.float64).contiguous().requires_grad_()
    push = torch.randn_like(x)
    for _ in range(2):
        found, wanted = ours(x), theirs(y)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    assert found.is_contiguous(memory_format=torch.channels_last)
    found.backward(push), wanted.backward(push)
    torch.testing.assert_close(x.grad, y.grad, rtol=0, atol=1e-12)
    for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad, rtol=1e-12, atol=1e-10)
    for name, buffer in theirs.named_buffers():
        torch.testing.assert_close(ours.get_buffer(name), buffer, rtol=1e-12, atol=1e-12)
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(x), theirs(y), rtol=0, atol=1e-12)


@pytest.mark.parametrize("affine", [False, True])
def test_float32_statistics_and_gradients_of_large_channels_last_batches_keep_their_digits(affine):
    ours, x = MapNorm(8, affine=affine), maps().requires_grad_()
    y, push = maps().double().detach().requires_grad_(), torch.randn(16, 8, 32, 32)
    weight = torch.ones(8, dtype=torch.float64, requires_grad=True)
    wanted = nn.functional.batch_norm(y.contiguous(), None, None, weight, training=True)
    found = ours(x)
    assert (found - wanted).norm() / wanted.norm() < 3e-7
    found.backward(push), wanted.backward(push.double())
    assert (x.grad - y.grad).norm() / y.grad.norm() < 3e-7
    if affine:
        assert (ours.weight.grad - weight.grad).norm() / weight.grad.norm() < 3e-6


def test_a_norm_that_is_frozen_or_gets_images_gives_the_gradients_that_are_asked_for():
    ours = MapNorm(8)
    ours.weight.requires_grad_(False)
    ours(maps()).square().sum().backward()
    assert ours.weight.grad is None and ours.bias.grad.abs().sum() > 0


def test_maps_of_the_hosts_layers_have_their_channels_side_by_side_and_are_the_same():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3, padding=1), MapNorm(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 4, 3), nn.Flatten()
    plain, seen = nn.Sequential(*layers).double(), list[bool]()
    for layer in layers[:-1]:
        layer.register_forward_hook(
            lambda *given: seen.append(given[-1].is_contiguous(memory_format=torch.channels_last))
        )
    images = torch.rand(5, 3, 8, 8, dtype=torch.float64)
    found = HostLayers(*layers)(images)
    assert seen == [True] * 5
    torch.testing.assert_close(found, plain(images), rtol=0, atol=1e-12)


def test_layers_without_convolutions_leave_their_input_as_it_is():
    image = torch.rand(2, 3, 4, 4)
    assert torch.equal(HostLayers(nn.Flatten())(image), image.flatten(1))
    assert HostLayers()(image) is image


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("batch", [0, 1])
def test_too_few_values_for_a_variance_are_what_they_are_to_torch(affine, batch):
    ours, theirs = norms(affine)
    x = torch.ones(batch, 8, 1, 1, dtype=torch.float64).contiguous(memory_format=torch.channels_last)

    def outcome(norm):
        try:
            return norm(x).shape
        except ValueError as error:
            return str(error)

    assert outcome(ours) == outcome(theirs)
    for name, buffer in theirs.named_buffers():
        torch.testing.assert_close(ours.get_buffer(name), buffer)


@pytest.mark.parametrize("affine", [False, True])
def test_autocast_is_left_to_torch(affine):
    ours, theirs = MapNorm(8, affine=affine), nn.BatchNorm2d(8, affine=affine)
    layers, plain = HostLayers(nn.Conv2d(3, 8, 3), ours), nn.Sequential(nn.Conv2d(3, 8, 3), theirs)
    plain.load_state_dict(layers.state_dict())
    x = torch.rand(4, 3, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, wanted = layers(x), plain(x)
    assert found.dtype == wanted.dtype
    torch.testing.assert_close(found.float(), wanted.float(), rtol=0, atol=0.05)
    torch.testing.assert_close(ours.running_var, theirs.running_var, rtol=1e-2, atol=1e-3)
