"""What compiled functions and their callers agree on."""

from __future__ import annotations

from typing import NamedTuple

FIELDS, TERM_FIELDS, RAILS = 7, 4, 3
"""Numbers of a layer, of a term, and real ones of a layer, as `sweeps` reads them."""


class Shape(NamedTuple):
    """What `sweeps` keeps in registers: sums of `rows` samples by `vectors` times `lanes` units.

    Attributes:
        lanes: Numbers of a vector.
        rows: Samples of a block.
        vectors: Vectors of a row.
    """

    lanes: int
    rows: int
    vectors: int

    @property
    def columns(self) -> int:
        """Units of a block, and of a panel of weights."""
        return self.lanes * self.vectors
