import torch
from torch import nn

from hil.learning.norm import MapNorm


def maps(batch=16, dtype=torch.float32):
    x = torch.rand(batch, 8, 32, 32, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return x.to(dtype).contiguous(memory_format=torch.channels_last)


def test_map_norm_equals_torchs_in_value_gradient_and_running_statistics():
    ours, theirs = MapNorm(8, affine=False).double(), nn.BatchNorm2d(8, affine=False).double()
    x, y = maps(4, torch.float64).requires_grad_(), maps(4, torch.float64).requires_grad_()
    push = torch.randn_like(x)
    for _ in range(2):
        found, wanted = ours(x), theirs(y)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    assert found.is_contiguous(memory_format=torch.channels_last)
    found.backward(push), wanted.backward(push)
    torch.testing.assert_close(x.grad, y.grad, rtol=0, atol=1e-12)
    for name, buffer in theirs.named_buffers():
        torch.testing.assert_close(ours.get_buffer(name), buffer, rtol=1e-12, atol=1e-12)
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(x), theirs(y), rtol=0, atol=1e-12)


def test_float32_statistics_of_large_channels_last_batches_keep_their_digits():
    ours = MapNorm(8, affine=False)
    wanted = nn.functional.batch_norm(maps().double(), None, None, training=True)
    assert (ours(maps()) - wanted).norm() / wanted.norm() < 3e-7
