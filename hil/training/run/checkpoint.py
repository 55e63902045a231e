"""Checkpoints: tensors in safetensors, the rest in JSON; the newest that reads back whole is the one that counts."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from hil.training.run.atomic import write_bytes, write_json

if TYPE_CHECKING:
    from torch import Tensor

_NAME = re.compile(r"step_\d{1,18}", re.ASCII)


@dataclass(frozen=True)
class Checkpoint:
    """State of a run between two steps.

    Attributes:
        tensors: Parameters, buffers, optimizer state, generators, the counterpart's state.
        facts: Everything that is not a tensor, as JSON values; floats survive exactly.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any]

    def without(self, prefix: str) -> Checkpoint:
        """Without the tensors whose names start so."""
        kept = {name: value for name, value in self.tensors.items() if not name.startswith(prefix)}
        return Checkpoint(kept, self.facts)


def write(folder: Path, step: int, checkpoint: Checkpoint, keep: int) -> None:
    """Adds a checkpoint and removes all but the newest `keep` up to it.

    The JSON file carries the checksum of the tensors and is written last, so that it vouches for them. What lies there
    of a later step did not read back when the run was taken up: it is no reason to remove one that does.
    """
    from safetensors.torch import save

    folder.mkdir(exist_ok=True)
    content = save({name: value.detach().cpu().contiguous() for name, value in checkpoint.tensors.items()})
    path = folder / f"step_{step:09d}.safetensors"
    write_bytes(path, content)
    write_json(path.with_suffix(".json"), {"sha256": hashlib.sha256(content).hexdigest()} | checkpoint.facts)
    mine = [path for path in _facts(folder) if _step(path) <= step]
    for old in mine[:-keep]:
        old.unlink()
        old.with_suffix(".safetensors").unlink(missing_ok=True)


def newest(folder: Path, limit: int | None = None) -> Checkpoint | None:
    """The newest checkpoint that reads back whole, None when there is none; up to step `limit` where one is given."""
    for path in reversed(_facts(folder)):
        late = limit is not None and _step(path) > limit
        found = None if late else _read(path)
        if found is not None:
            return found
    return None


def names(folder: Path) -> list[str]:
    """Names of all files of checkpoints, readable or not."""
    return sorted(path.name for path in folder.glob("step_*") if _NAME.fullmatch(path.stem))


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes, types and bytes: two models with the same digest are the same."""
    state = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        state.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
        state.update(value.numpy().tobytes())
    return state.hexdigest()


def parse(facts: bytes, content: bytes) -> Checkpoint | None:
    """A checkpoint from the bytes of its two files; None where they are not whole."""
    from safetensors.torch import load

    try:
        known = json.loads(facts)
        if hashlib.sha256(content).hexdigest() != known["sha256"]:
            return None
        position = known["position"]
        counts = (known["metrics_bytes"], position["step"], position["epoch"], position["batch"])
        if not all(type(count) is int and count >= 0 for count in counts):
            return None
        return Checkpoint(load(content), known)
    except (ValueError, KeyError, TypeError, RecursionError, SafetensorError):
        return None


def _facts(folder: Path) -> list[Path]:
    """The JSON files of checkpoints, oldest first."""
    return sorted((p for p in folder.glob("step_*.json") if _NAME.fullmatch(p.stem)), key=_step)


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step_"))


def _read(path: Path) -> Checkpoint | None:
    try:
        found = parse(path.read_bytes(), path.with_suffix(".safetensors").read_bytes())
    except OSError:
        return None
    return found if found is not None and found.facts["position"]["step"] == _step(path) else None
