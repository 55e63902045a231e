"""The snapshot of an emulator behind a wire, as tensors of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from drivers.cells import Snapshot
from drivers.crossbar import Crossbar

NAME = "snapshot"
_CODES = "codes_"


def taken(crossbar: Crossbar) -> dict[str, Tensor]:
    """What the device holds (bytes), and the codes the driver knows to be in its cells, (planes, rows, columns)."""
    snapshot = crossbar.snapshot()
    codes = {
        f"{_CODES}{array}.{coupling}": torch.from_numpy(known)
        for array, couplings in snapshot.codes.items()
        for coupling, known in enumerate(couplings)
    }
    return codes | {NAME: torch.frombuffer(bytearray(snapshot.device), dtype=torch.uint8)}


def put_back(crossbar: Crossbar, state: Mapping[str, Tensor]) -> None:
    """Restores `taken` on a device whose outputs are off and whose arrays are configured as they were."""
    codes: dict[int, list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]] = {}
    for name, known in sorted(below(_CODES, state).items(), key=lambda item: [int(n) for n in item[0].split(".")]):
        codes.setdefault(int(name.partition(".")[0]), []).append(known.numpy())
    crossbar.restore(Snapshot(state[NAME].numpy().tobytes(), codes))


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors whose names start so, without that start."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
