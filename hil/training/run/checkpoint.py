"""Checkpoints: tensors in safetensors, the rest in JSON; the newest that reads back whole is the one that counts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from hil.training.run.atomic import write_bytes, write_json


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
    """Adds a checkpoint and removes all but the newest `keep`.

    The JSON file carries the checksum of the tensors and is written last, so that it vouches for them.
    """
    folder.mkdir(exist_ok=True)
    content = save({name: value.detach().cpu().contiguous() for name, value in checkpoint.tensors.items()})
    path = folder / f"step_{step:09d}.safetensors"
    write_bytes(path, content)
    write_json(path.with_suffix(".json"), {"sha256": hashlib.sha256(content).hexdigest()} | checkpoint.facts)
    for old in sorted(folder.glob("step_*.json"))[:-keep]:
        old.unlink()
        old.with_suffix(".safetensors").unlink(missing_ok=True)


def newest(folder: Path, limit: int | None = None) -> Checkpoint | None:
    """The newest checkpoint that reads back whole, None when there is none; up to step `limit` where one is given."""
    for path in sorted(folder.glob("step_*.json"), reverse=True):
        late = limit is not None and int(path.stem.removeprefix("step_")) > limit
        found = None if late else _read(path)
        if found is not None:
            return found
    return None


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
    try:
        known = json.loads(facts)
        if hashlib.sha256(content).hexdigest() != known["sha256"]:
            return None
        return Checkpoint(load(content), known)
    except (ValueError, KeyError, TypeError, RecursionError, SafetensorError):
        return None


def _read(path: Path) -> Checkpoint | None:
    try:
        return parse(path.read_bytes(), path.with_suffix(".safetensors").read_bytes())
    except OSError:
        return None
