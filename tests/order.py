"""In which order tests are given out."""

from bisect import bisect_left, bisect_right
from collections import defaultdict


def spread(long, others, workers):
    """Items of `others` in their order, those of `long` between: over the first half of each worker's share.

    Shares are equal parts, one after the other. Nothing comes into the midst of a module, whose fixtures would be made
    twice: what is due there comes before it.
    """
    places = range(len(others))
    begins = [place for place in places if place == 0 or others[place].path != others[place - 1].path]
    between = defaultdict(list)
    for worker in range(workers):
        first, last = (part * len(others) // workers for part in (worker, worker + 1))
        first = begins[min(bisect_left(begins, first), len(begins) - 1)]  # what is before it is another worker's
        early = long[worker::workers]
        step = max(1, (last - first) // (2 * max(1, len(early))))
        for number, item in enumerate(early):
            between[begins[bisect_right(begins, first + number * step) - 1]].append(item)
    return [item for place in places for item in (*between[place], others[place])]
