"""What takes long is given out early, and takes no module apart."""

import importlib.util
from itertools import groupby, pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

spec = importlib.util.spec_from_file_location("order", Path(__file__).parents[1] / "order.py")
order = importlib.util.module_from_spec(spec)
spec.loader.exec_module(order)


def items(*sizes, kind="module"):
    return [SimpleNamespace(path=f"{kind} {m}", number=n) for m, size in enumerate(sizes) for n in range(size)]


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("sizes", [(40,), (3, 30, 2, 5), (1,) * 40, (7,) * 9, (13, 1, 1, 25)])
def test_long_tests_come_between_modules_and_everything_comes_once(sizes, workers):
    others, long = items(*sizes), items(*(1,) * 4, kind="long")
    ordered = order.spread(long, others, workers)
    assert [item for item in ordered if item in others] == others
    assert sorted(item.path for item in ordered if item in long) == [item.path for item in long]
    runs = [path for path, _ in groupby(ordered, key=lambda item: item.path)]
    assert len(runs) == len(set(runs))


@pytest.mark.parametrize("workers", [1, 2])
def test_each_worker_has_its_part_of_them_in_the_first_half_of_its_share(workers):
    others, long = items(*(2,) * 40), items(*(1,) * 6, kind="long")
    ordered = order.spread(long, others, workers)
    share = len(ordered) // workers
    places = [ordered.index(item) for item in long]
    for worker in range(workers):
        own = sorted(places[worker::workers])
        assert own[0] == worker * share and own[-1] < (worker + 0.5) * share
        assert all(later - earlier > 2 for earlier, later in pairwise(own))
