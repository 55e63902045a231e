import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from emulator.winograd import TILES, Scratch, prepare, suits

SIZES = [(1, 1), (2, 2), (4, 4), (8, 8), (4, 8), (12, 4)]


def parts(size, dtype=torch.float64, batch=5):
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(7, 6, 3, 3, generator=generator, dtype=torch.float64).to(dtype)
    bias = torch.randn(7, generator=generator, dtype=torch.float64).to(dtype)
    x = torch.rand(batch, 6, *size, generator=generator, dtype=torch.float64).to(dtype)
    y = torch.rand(batch, 7, *size, generator=generator, dtype=torch.float64).to(dtype)
    return weight, bias, x, y


@pytest.mark.parametrize("size", SIZES)
def test_schemes_equal_the_definition_and_its_transpose(size):
    weight, bias, x, y = parts(size)
    up, down = prepare(weight, bias, size, Scratch())
    torch.testing.assert_close(up(x), F.conv2d(x, weight, bias, padding=1), rtol=0, atol=1e-12)
    wanted = F.conv_transpose2d(y, weight, padding=1)
    torch.testing.assert_close(down(y), wanted, rtol=0, atol=1e-12)
    torch.testing.assert_close(down(y, x), wanted + x, rtol=0, atol=1e-12)


def test_batches_of_several_chunks_in_any_memory_format_equal_single_samples():
    weight, bias, x, _ = parts((8, 8), batch=TILES // 4 * 2 + 3)
    up, _ = prepare(weight, bias, (8, 8), Scratch())
    together = up(x.contiguous(memory_format=torch.channels_last))
    assert together.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(together, torch.cat([up(x[n : n + 1]) for n in range(len(x))]), rtol=0, atol=1e-12)


def test_results_outlive_later_uses_of_the_shared_memory():
    weight, bias, x, y = parts((4, 4))
    up, down = prepare(weight, bias, (4, 4), Scratch())
    first = up(x)
    kept = first.clone()
    down(y), up(2 * x)
    assert torch.equal(first, kept)


def test_float32_rounding_stays_near_that_of_a_direct_convolution():
    weight, bias, x, _ = parts((16, 16), torch.float32)
    up, _ = prepare(weight, bias, (16, 16), Scratch())
    wanted = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    direct = (F.conv2d(x, weight, bias, padding=1) - wanted).norm()
    assert (up(x) - wanted).norm() < 10 * direct


def test_sizes_without_a_scheme_are_told_apart():
    assert all(suits(*size) for size in SIZES)
    assert not any(suits(*size) for size in [(3, 3), (2, 4), (7, 8), (6, 6)])
