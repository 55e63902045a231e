"""Everything a training run is between two steps, to and from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn

from hil.counterparts import convolutions
from hil.counterparts.device_snapshot import below
from hil.counterparts.seam import Bench, Snapshots
from hil.learning.model import energy_blocks
from hil.training.run.checkpoint import Checkpoint
from hil.training.update import CellUpdates


@dataclass
class Position:
    """Where a run is.

    Attributes:
        epoch: Epochs done.
        batch: Batches of the present epoch done.
        step: Steps done in all.
        seconds: Time spent on training steps, all sessions together.
        images: Training images seen, all sessions together.
        loss_sum: Sum of the sample losses of this epoch so far.
        correct: Sum of what the task measures over this epoch's samples so far; right answers where they are classes.
        seen: Samples of this epoch so far.
        test_accuracy: Last test, if any; None where values are to be met.
        test: All that the last test measured.
        best: Best validation so far, by the task's measure.
        best_epoch: When it was.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    images: int = 0
    loss_sum: float = 0.0
    correct: float = 0.0
    seen: int = 0
    test_accuracy: float | None = None
    test: dict[str, float] = field(default_factory=dict)
    best: float | None = None
    best_epoch: int = 0


@dataclass
class TrainState:
    """A model in training.

    Attributes:
        model: The model.
        optimizer: Of what the host keeps.
        bench: The counterpart.
        position: Where the run is.
        cells: What the rule of updates keeps beside the cells; None where nothing is trained further.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    bench: Bench
    position: Position
    cells: CellUpdates | None = None

    def checkpoint(self, metrics_bytes: int, between_steps: bool = True) -> Checkpoint:
        """The whole state.

        Args:
            metrics_bytes: How much of `metrics.jsonl` belongs to it.
            between_steps: False after a step that failed on the way: a device behind a wire has then done part of it,
                and may be gone.
        """
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for index, entries in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in entries.items() if isinstance(v, Tensor)}
        tensors |= {f"sign.{name}": state for name, state in self._signs().items()}
        tensors |= self._rules()
        bench = self.bench
        held = bench.snapshot() if between_steps and isinstance(bench, Snapshots) else bench.state_dict()
        tensors |= {f"bench.{name}": value for name, value in held.items()}
        facts = {"position": asdict(self.position), "metrics_bytes": metrics_bytes}
        if (chosen := convolutions.chosen_by(bench)) is not None:
            facts["convolutions"] = convolutions.kept(chosen)
        return Checkpoint(tensors, facts)

    def restore(self, checkpoint: Checkpoint) -> int:
        """Takes a checkpoint's state; the same blocks must have been placed.

        Returns:
            Length of `metrics.jsonl` to go on from, bytes.
        """
        self.model.load_state_dict(below("model.", checkpoint.tensors))
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in below("optimizer.", checkpoint.tensors).items():
            index, _, name = key.partition(".")
            state.setdefault(int(index), {})[name] = value
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})
        self._load_signs(below("sign.", checkpoint.tensors))
        self._load_rules(checkpoint.tensors)
        self.bench.load_state_dict(below("bench.", checkpoint.tensors))
        if (chosen := convolutions.chosen_by(self.bench)) is not None:
            convolutions.take(chosen, checkpoint.facts.get("convolutions"))
        self.position = Position(**checkpoint.facts["position"])
        return int(checkpoint.facts["metrics_bytes"])

    def before_step(self) -> dict[str, Tensor]:
        """What a step changes before it reaches the optimizer.

        Buffers, the signs' generators, what the rule of updates keeps, the counterpart.
        """
        buffers = {f"buffer.{name}": value.clone() for name, value in self.model.named_buffers()}
        signs = {f"sign.{name}": state for name, state in self._signs().items()}
        return (
            buffers
            | signs
            | self._rules()
            | {f"bench.{name}": value for name, value in self.bench.state_dict().items()}
        )

    def undo_step(self, before: dict[str, Tensor]) -> None:
        """Puts `before_step` back, after a step that failed on the way."""
        with torch.no_grad():
            for name, buffer in self.model.named_buffers():
                buffer.copy_(before[f"buffer.{name}"])
        self._load_signs(below("sign.", before))
        self._load_rules(before)
        self.bench.load_state_dict(below("bench.", before))

    def _rules(self) -> dict[str, Tensor]:
        return {} if self.cells is None else {f"update.{n}": value for n, value in self.cells.state_dict().items()}

    def _load_rules(self, tensors: Mapping[str, Tensor]) -> None:
        if self.cells is not None:
            self.cells.load_state_dict(below("update.", tensors))

    def _signs(self) -> dict[str, Tensor]:
        blocks = energy_blocks(self.model).items()
        return {name: block.generator.get_state() for name, block in blocks if block.generator is not None}

    def _load_signs(self, states: dict[str, Tensor]) -> None:
        blocks = energy_blocks(self.model)
        for name, state in states.items():
            generator = blocks[name].generator
            if generator is not None:
                generator.set_state(state)
