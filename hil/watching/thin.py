"""A series that is drawn: of any length, in a bounded number of points."""

from __future__ import annotations

MOST = 1500


class Thin:
    """Rows of numbers; when there are too many, two neighbours become their mean.

    Args:
        most: Points that are kept, at most twice as many while it fills.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._each, self._waiting = 1, 0
        self._sums: list[float] = []
        self._counts: list[int] = []
        self.rows: list[list[float | None]] = []

    def add(self, row: list[float | None]) -> None:
        """One more row; None where nothing was measured."""
        if not self._waiting:
            self._sums, self._counts = [0.0] * len(row), [0] * len(row)
        for place, value in enumerate(row):
            if value is not None:
                self._sums[place] += value
                self._counts[place] += 1
        self._waiting += 1
        if self._waiting >= self._each:
            self.rows.append([s / c if c else None for s, c in zip(self._sums, self._counts, strict=True)])
            self._waiting = 0
        if len(self.rows) >= 2 * self._most:
            self.rows = [_mean(a, b) for a, b in zip(self.rows[::2], self.rows[1::2], strict=True)]
            self._each *= 2

    def columns(self) -> list[list[float | None]]:
        """The series side by side, what was not whole yet with them."""
        rows = list(self.rows)
        if self._waiting:
            rows.append([s / c if c else None for s, c in zip(self._sums, self._counts, strict=True)])
        return [list(column) for column in zip(*rows, strict=True)]


def _mean(one: list[float | None], other: list[float | None]) -> list[float | None]:
    both = zip(one, other, strict=True)
    return [b if a is None else a if b is None else (a + b) / 2 for a, b in both]
