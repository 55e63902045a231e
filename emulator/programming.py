"""Writing the cells of an array in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from emulator.cells import quantize
from emulator.placed import PlacedArray


@dataclass(frozen=True)
class Written:
    """Outcome of a programming transaction.

    Attributes:
        cells: Cells that were to be written.
        pulses: Writes it took; more than `cells` only with verification.
        failed: Cells outside the tolerance after the last round; 0 without verification.
    """

    cells: int
    pulses: int
    failed: int


def program(
    placed: PlacedArray,
    targets_s: Sequence[Tensor],
    masks: Sequence[Tensor] | None,
    rounds: int,
    tolerance: float,
    now_s: float,
    generator: torch.Generator,
) -> Written:
    """Writes cells coupling by coupling; see `emulator.chip.Chip.program`.

    Args:
        placed: The array.
        targets_s: One tensor a coupling, (planes, rows, columns), siemens.
        masks: Where True, the cell is written; all cells when None.
        rounds: Most rewrites of a cell whose read-back misses; 0 does not look.
        tolerance: Fraction of the range that counts as a hit.
        now_s: The ageing clock.
        generator: Source of programming noise.

    Raises:
        ValueError: tensors do not fit the couplings' cells; nothing is written then.
    """
    _check_fit(placed, "targets", targets_s)
    if masks is not None:
        _check_fit(placed, "masks", masks)
    cells = pulses = failed = 0
    for index, (crossbar, target) in enumerate(zip(placed.crossbars, targets_s, strict=True)):
        like = crossbar.written_s
        wanted = quantize(placed.sheet.cells, target.to(like.device)).to(like.dtype)
        mask = None if masks is None else masks[index].to(like.device)
        outcome = crossbar.write(wanted, mask, now_s, generator, rounds, tolerance)
        cells += wanted.numel() if mask is None else int(mask.sum())
        pulses += outcome.pulses if isinstance(outcome.pulses, int) else int(outcome.pulses.sum())
        failed += outcome.failed
    return Written(cells, pulses, failed)


def _check_fit(placed: PlacedArray, what: str, tensors: Sequence[Tensor]) -> None:
    """Raises `ValueError` unless there is one tensor a coupling, of the shape of its cells."""
    expected = [crossbar.shape for crossbar in placed.crossbars]
    got = [tuple(tensor.shape) for tensor in tensors]
    if got != expected:
        raise ValueError(f"{what} of shape {got}, expected one a coupling, (planes, rows, columns): {expected}")
