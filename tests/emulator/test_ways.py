"""Ways of a convolution: the same numbers in each, and the one that is taken stays."""

import copy
import pickle
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from emulator import couplings, formed
from emulator.couplings import ConvCoupling
from emulator.ways import BUDGET_S, NAMES, RULE, ByName, Chosen, Measured, Work, measured_samples
from emulator.winograd import Scratch
from firmware_specs.topology import Conv

WORK = Work("up", 3, 5, 8, 8, 3, 1, 1, torch.float32, 16, 1)


class Memory(dict):
    """One that can be written, or not."""

    writable = True

    @contextmanager
    def held(self):
        yield self if self.writable else None

    def read(self):
        return self


class Stopwatch:
    """A clock that only the runs move, and one on the wall, where a busy machine takes so many times as long."""

    def __init__(self, busy=1, **seconds):
        self.now_s, self.ran, self.busy = 0.0, [], busy
        self.runs = {name: lambda name=name, s=s: self._run(name, s) for name, s in seconds.items()}

    def __call__(self, threads):
        return self.now_s

    def wall(self):
        return self.now_s * self.busy

    def _run(self, name, seconds):
        self.ran.append(name)
        if seconds is None:
            raise RuntimeError("could not create a primitive")
        self.now_s += seconds


def measured(memory, clock):
    return Measured(memory, clock, clock.wall)


def test_the_fastest_way_is_measured_once_and_remembered():
    memory, clock = Memory(), Stopwatch(direct=0.03, winograd=0.01, packed=0.02)
    ways = measured(memory, clock)
    assert ways.way(WORK, "direct", clock.runs) == "winograd"
    ran = len(clock.ran)
    assert ways.way(WORK, "direct", clock.runs) == "winograd"
    later = Stopwatch(direct=0.01, winograd=0.03, packed=0.02)
    assert measured(memory, later).way(WORK, "direct", later.runs) == "winograd"
    assert len(clock.ran) == ran
    assert not later.ran
    assert memory == {str(WORK): "winograd"}


def test_a_way_that_is_hardly_faster_does_not_displace_the_usual_one():
    clock = Stopwatch(direct=0.0102, winograd=0.01)
    assert measured(Memory(), clock).way(WORK, "direct", clock.runs) == "direct"


def test_a_hopeless_way_is_timed_once():
    clock = Stopwatch(direct=0.001, winograd=0.1)
    measured(Memory(), clock).way(WORK, "direct", clock.runs)
    assert clock.ran.count("winograd") == 2
    assert clock.ran.count("direct") > 2


def test_what_comes_after_the_time_for_measuring_stays_as_the_rule_has_it():
    memory, slow = Memory(), Stopwatch(direct=0.4, winograd=0.2)
    ways = measured(memory, slow)
    assert ways.way(WORK, "direct", slow.runs) == "direct"
    assert slow.now_s <= BUDGET_S + 0.4  # the run in which it ends
    other = WORK._replace(outputs=6)
    ran = len(slow.ran)
    assert ways.way(other, "direct", slow.runs) == "direct"
    assert len(slow.ran) == ran
    quick = Stopwatch(direct=0.02, winograd=0.01)
    assert measured(memory, quick).way(other, "direct", quick.runs) == "direct"  # the run before had it so


def test_time_for_measuring_is_over_by_the_clock_on_the_wall():
    memory, clock = Memory(), Stopwatch(busy=30, direct=0.03, winograd=0.01, packed=0.01)
    assert measured(memory, clock).way(WORK, "direct", clock.runs) == "direct"
    assert clock.wall() <= BUDGET_S + 30 * 0.03


@pytest.mark.parametrize(
    ("known", "expected"), [({}, "direct"), ({str(WORK): "winograd"}, "winograd"), ({str(WORK): "packed"}, "direct")]
)
def test_where_nothing_can_be_kept_nothing_is_measured_and_what_is_known_is_taken(known, expected):
    memory, clock = Memory(known), Stopwatch(direct=0.01, winograd=0.03)
    memory.writable = False
    assert measured(memory, clock).way(WORK, "direct", clock.runs) == expected
    assert not clock.ran
    assert memory == known


def test_a_way_that_cannot_be_prepared_is_not_the_fastest():
    clock = Stopwatch(direct=0.03, packed=None, winograd=0.01)
    assert measured(Memory(), clock).way(WORK, "direct", clock.runs) == "winograd"
    clock = Stopwatch(direct=None, winograd=0.01)
    with pytest.raises(RuntimeError, match="primitive"):
        measured(Memory(), clock).way(WORK, "direct", clock.runs)


@pytest.mark.parametrize("nonsense", ["", "fast", "packed"])
def test_a_remembered_name_that_is_no_way_here_is_measured_anew(nonsense):
    memory, clock = Memory({str(WORK): nonsense}), Stopwatch(direct=0.03, winograd=0.01)
    assert measured(memory, clock).way(WORK, "direct", clock.runs) == "winograd"
    assert memory[str(WORK)] == "winograd"


def test_a_named_way_is_taken_where_there_is_one():
    clock = Stopwatch(direct=1, winograd=1)
    assert ByName("winograd").way(WORK, "direct", clock.runs) == "winograd"
    assert ByName("packed").way(WORK, "direct", clock.runs) == "direct"
    assert not clock.ran


def test_one_counterpart_is_told_the_same_whatever_others_find_later():
    first, second = Stopwatch(direct=0.03, winograd=0.01), Stopwatch(direct=0.01, winograd=0.03)
    told = Chosen(measured(Memory(), first))
    assert told.way(WORK, "direct", first.runs) == "winograd"
    told.ways = measured(Memory(), second)
    assert told.way(WORK, "direct", second.runs) == "winograd"


def test_a_copy_here_was_told_the_same_and_one_that_is_pickled_nothing():
    told = Chosen(ByName("packed"), {str(WORK): "winograd"})
    assert copy.deepcopy(told) == told
    assert copy.deepcopy(told).by_work is not told.by_work
    assert pickle.loads(pickle.dumps(told)) == Chosen(ByName("packed"))


@pytest.mark.parametrize("batch", [1, 2, 3, 16, 17, 64, 500])
def test_batches_share_what_is_measured_for_them(batch):
    samples = measured_samples(batch, 10, 1, 1)
    assert samples & (samples - 1) == 0
    assert min(batch, 128) <= samples < 2 * min(batch, 128) + 1
    assert measured_samples(batch, int(1e12), 1, 1) == 1


def coupling(size, kernel=3, stride=1, padding=1, channels=(6, 7), dtype=torch.float32, pool=False):
    generator = torch.Generator().manual_seed(5)
    weight = torch.randn(channels[1], channels[0], kernel, kernel, generator=generator, dtype=torch.float64) / 8
    bias = torch.randn(channels[1], generator=generator, dtype=torch.float64)
    spec = Conv(pre=0, post=1, kernel=kernel, stride=stride, padding=padding, pool=pool)
    return ConvCoupling(weight.to(dtype), bias.to(dtype), spec, (channels[0], *size))


SHAPES = [
    {"size": (8, 8)}, {"size": (4, 12)}, {"size": (4, 4)}, {"size": (2, 2)}, {"size": (1, 1)}, {"size": (7, 9)},
    {"size": (5, 5), "padding": 0}, {"size": (9, 7), "stride": 2}, {"size": (8, 8), "kernel": 5, "padding": 2},
    {"size": (8, 8), "kernel": 1, "padding": 0}, {"size": (6, 6), "kernel": 1, "padding": 1},
    {"size": (8, 8), "channels": (33, 40)}, {"size": (8, 8), "channels": (1, 1)},
]  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_way_has_the_same_numbers_to_rounding(shape, name, dtype):
    plain = coupling(**shape, dtype=dtype)
    exact = couplings.ConvCoupling(plain.weight.double(), plain.bias.double(), plain.spec, plain.pre)
    forth, back = (make(plain, Scratch(), ByName(name)) for make in (formed.up, formed.down))
    for batch in (1, 5, 35):
        x = torch.rand(batch, *forth.given, dtype=dtype)
        y, current = torch.rand(batch, *back.given, dtype=dtype), torch.rand(batch, *back.result, dtype=dtype)
        bound = 1e-4 if dtype == torch.float32 else 1e-12
        torch.testing.assert_close(forth(x).double(), exact.up(x.double())[0], rtol=0, atol=bound)
        wanted = exact.down(y.double(), None)
        torch.testing.assert_close(back(y).double(), wanted, rtol=0, atol=bound)
        torch.testing.assert_close(back(y, current.clone()).double(), wanted + current, rtol=0, atol=bound)


@pytest.mark.parametrize("name", NAMES)
def test_a_change_is_added_or_the_sum_formed_anew(name):
    plain = coupling((8, 8), dtype=torch.float64, pool=True)
    follow = formed.change(plain, Scratch(), ByName(name))
    before, after = torch.rand(2, 3, *plain.pre, dtype=torch.float64).unbind()
    exact = formed.up(plain, Scratch(), RULE)
    way = follow.of(after)
    if name == "winograd":
        torch.testing.assert_close(way(after - before, exact(before)), exact(after), rtol=0, atol=1e-12)
    else:  # packed products are oneDNN's, which has none in float64; the rule has direct ones for so few channels
        assert way is None


def test_pooled_sums_never_have_the_larger_rounding():
    assert set(formed.up(coupling((8, 8), pool=True), Scratch(), RULE).makers) <= {"direct", "packed"}


PACKING = pytest.mark.skipif(not formed._packs(torch.float32), reason="torch's oneDNN packs no weights here")
NAMED = [pytest.param(name, marks=PACKING if "packed" in name else ()) for name in NAMES]


@pytest.mark.parametrize("name", ["rule", *NAMED])
def test_couplings_of_one_shape_are_not_told_each_others_ways(name):
    told = Chosen(RULE if name == "rule" else ByName(name))
    plain, pooled = (coupling((8, 8), channels=(32, 32), pool=pool) for pool in (False, True))
    for _ in range(2):  # the second time it is remembered
        products = [formed.up(c, Scratch(), told) for c in (plain, pooled)]
        assert [p.way(5) for p in products] == [
            "winograd" if name == "rule" else name,
            "packed" if name == "packed" else "direct",
        ]


def test_bfloat16_is_no_way_of_exact_arithmetic():
    plain = coupling((8, 8), channels=(32, 32))
    x = torch.rand(3, *plain.pre)
    products = formed.up(plain, Scratch(), RULE)
    for name in products.makers:
        assert products.makers[name]()(x, None).dtype == torch.float32


def test_weights_are_prepared_for_what_is_used_only():
    for ways in (RULE, Measured(Memory(), lambda threads: 0.0)):  # by a clock that stands still none is faster
        products = formed.up(coupling((8, 8), channels=(32, 32)), Scratch(), ways)
        products(torch.rand(2, *products.given))
        assert list(products._made) == ["winograd"]


def broken():
    raise RuntimeError("could not create a primitive")


def broken_later():
    return lambda x, current: broken()


WAYS = {
    "named": lambda: ByName("packed"),
    "measured": lambda: Measured(Memory()),
    "from a cache": lambda: Measured(Packed()),
    "from a checkpoint": lambda: Chosen(RULE, Packed()),
}


class Packed(Memory):
    """Has everything packed."""

    def get(self, key, default=None):
        return super().get(key, "packed")

    def __missing__(self, key):
        return "packed"


@pytest.mark.parametrize("ways", WAYS)
@pytest.mark.parametrize("maker", [broken, broken_later])
def test_a_way_that_cannot_be_prepared_is_none(ways, maker):
    plain = coupling((8, 8), channels=(32, 32))
    usual = formed.up(plain, Scratch(), RULE)
    product = replace(usual, makers={**usual.makers, "packed": maker}, ways=WAYS[ways](), _made={}, _chosen={})
    x = torch.rand(2, *product.given)
    torch.testing.assert_close(product(x), usual(x), rtol=0, atol=1e-4)
    assert product.way(2) != "packed"
    assert "packed" not in product._made


@pytest.mark.parametrize("ways", [ByName("direct"), Measured(Memory(), lambda threads: 0.0), RULE], ids=range(3))
def test_a_change_keeps_no_weights_of_sums_formed_anew(ways):
    few = coupling((8, 8), pool=True)  # by rule direct
    follow = formed.change(few, Scratch(), ways)
    assert follow.of(torch.rand(3, *few.pre)) is None
    assert follow.formed._made == {}


def test_what_another_thread_was_told_meanwhile_is_not_asked_again():
    class Meanwhile:
        """A lock that one gets when another thread has left it."""

        def __enter__(self):
            product._chosen[2, torch.get_num_threads()] = "direct"

        def __exit__(self, *_):
            pass

    product = replace(formed.up(coupling((8, 8), channels=(32, 32)), Scratch(), RULE), _one=Meanwhile())
    assert product.way(2) == "direct"
