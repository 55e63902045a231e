import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from emulator import winograd
from emulator.formed import _packs
from emulator.winograd import TILES, Scratch, prepare, suits

SIZES = [(1, 1), (2, 2), (4, 4), (8, 8), (4, 8), (12, 4)]


def parts(size, dtype=torch.float64, batch=5):
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(7, 6, 3, 3, generator=generator, dtype=torch.float64).to(dtype)
    bias = torch.randn(7, generator=generator, dtype=torch.float64).to(dtype)
    x = torch.rand(batch, 6, *size, generator=generator, dtype=torch.float64).to(dtype)
    y = torch.rand(batch, 7, *size, generator=generator, dtype=torch.float64).to(dtype)
    return weight, bias, x, y


def pair(weight, bias, size, products=winograd.batched):
    scratch = Scratch()
    up = prepare(weight, bias, size, scratch, products=products)
    return up, prepare(weight, None, size, scratch, back=True, products=products)


@pytest.mark.parametrize("size", SIZES)
def test_schemes_equal_the_definition_and_its_transpose(size):
    weight, bias, x, y = parts(size)
    up, down = pair(weight, bias, size)
    torch.testing.assert_close(up(x), F.conv2d(x, weight, bias, padding=1), rtol=0, atol=1e-12)
    wanted = F.conv_transpose2d(y, weight, padding=1)
    torch.testing.assert_close(down(y), wanted, rtol=0, atol=1e-12)
    torch.testing.assert_close(down(y, x), wanted + x, rtol=0, atol=1e-12)


def test_batches_of_several_chunks_in_any_memory_format_equal_single_samples():
    weight, bias, x, _ = parts((8, 8), batch=TILES // 4 * 2 + 3)
    up = prepare(weight, bias, (8, 8), Scratch())
    together = up(x.contiguous(memory_format=torch.channels_last))
    assert together.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(together, torch.cat([up(x[n : n + 1]) for n in range(len(x))]), rtol=0, atol=1e-12)


def test_results_outlive_later_uses_of_the_shared_memory():
    weight, bias, x, y = parts((4, 4))
    up, down = pair(weight, bias, (4, 4))
    first = up(x)
    kept = first.clone()
    down(y), up(2 * x)
    assert torch.equal(first, kept)


def test_float32_rounding_stays_near_that_of_a_direct_convolution():
    weight, bias, x, _ = parts((16, 16), torch.float32)
    up = prepare(weight, bias, (16, 16), Scratch())
    wanted = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    direct = (F.conv2d(x, weight, bias, padding=1) - wanted).norm()
    assert (up(x) - wanted).norm() < 10 * direct


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 5, 34, 67])
@pytest.mark.parametrize("size", [(4, 4), (8, 8), (4, 12)])
def test_samples_are_shared_among_threads_without_a_change_of_results(size, batch, threads, monkeypatch):
    weight, bias, x, y = parts(size, batch=batch)
    up, down = pair(weight, bias, size)
    alone = up(x), down(y, x)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    for many, one in zip((up(x), down(y, x)), alone, strict=True):
        torch.testing.assert_close(many, one, rtol=0, atol=1e-13)


@pytest.mark.skipif(not _packs(torch.float32), reason="torch's oneDNN packs no weights here")
@pytest.mark.parametrize("size", SIZES)
def test_packed_products_equal_batched_ones(size):
    weight, bias, x, y = parts(size, torch.float32)
    (up, down), (plain_up, plain_down) = (pair(weight, bias, size, p) for p in (winograd.packed, winograd.batched))
    torch.testing.assert_close(up(x), plain_up(x), rtol=0, atol=1e-4)
    torch.testing.assert_close(down(y, x), plain_down(y, x), rtol=0, atol=1e-4)


def test_sizes_without_a_scheme_are_told_apart():
    assert all(suits(*size) for size in SIZES)
    assert not any(suits(*size) for size in [(3, 3), (2, 4), (7, 8), (6, 6)])
