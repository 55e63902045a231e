"""A rack of instruments around a bare crossbar at the value seam: one passive resistive network at a time."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as MappingABC
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor

from drivers.deed_file import DeedFile
from drivers.errors import BudgetSpent
from drivers.rack.plan import Plan, Work, plan
from drivers.rack.rig import Rig
from drivers.rack.stage import bring_to, temperature_k
from firmware_specs.deeds import Deeds
from firmware_specs.topology import Topology
from hil.counterparts.counted import CellMaps
from hil.counterparts.notebook import ShownBench
from hil.counterparts.one_of_a_kind import OneOfAKind
from hil.counterparts.rack_array import RackArray
from hil.counterparts.seam import PlacementError
from hil.data.dataset import Dataset
from hil.experiments.schema import Experiment
from hil.learning.estimator import Estimator


class RackBench(ShownBench, OneOfAKind):
    """An open rack.

    Args:
        rig: Its instruments.
        address: The address it was opened from.
    """

    quantized = True

    def __init__(self, rig: Rig, address: str) -> None:
        self.rig = rig
        self.address = address
        self._array: RackArray | None = None
        self._begin = rig.clock.now_s()
        self._plan: Plan | None = None

    def rest(self) -> None:
        """Outputs off, relays open; that they are is asked for when the rack is left."""
        self.rig.safe()

    def busy(self, seconds: float) -> AbstractContextManager[None]:
        """Work on the host that takes longer than the lease on the outputs, and at most so long."""
        return self.rig.lease.busy(seconds)

    def place(self, topology: Topology) -> RackArray:
        """Places a resistive network without bias lines; a rack holds one.

        Raises:
            PlacementError: it does not fit; the message says why.
            OutOfRange: an instrument it needs is not on the bench.
        """
        name = self.rig.rack.name
        if self._array is not None:
            raise PlacementError(f"{name} holds one network, and one is placed already")
        if topology.substrate != "resistive":
            raise PlacementError(
                f"{name} is a passive crossbar: the block must be resistive, it is {topology.substrate}"
            )
        if any(coupling.bias for coupling in topology.couplings):
            raise PlacementError(f"{name} has no bias current sources: set bias = false and add a constant source")
        if any(layer.gain != 1.0 for layer in topology.layers):
            raise PlacementError(f"{name} has no amplifiers: slope must be 1")
        self._array = RackArray(self.rig, topology)
        return self._array

    def plan(self, train: int, test: int, batch: int, epochs: int, tests: int, nudges: int) -> Plan:
        """What a training run will take.

        Args:
            train: Training samples an epoch.
            test: Test samples.
            batch: Samples a step.
            epochs: Passes over the training samples.
            tests: Passes over the test samples.
            nudges: Nudged phases a sample.

        Raises:
            BudgetSpent: an average cell would need more pulses than it may have.
        """
        if self._array is None:
            raise PlacementError("nothing is placed yet")
        updates = epochs * -(-train // batch)
        work = Work(train * epochs + test * tests, nudges * train * epochs, updates)
        self._plan = found = plan(self.rig.rack, self._array.placed, work)
        had = int(self.rig.spent.pulses.max())
        if had + found.pulses_per_cell > found.budget:
            earlier = f" and one has had {had}" if had else ""
            raise BudgetSpent(
                f"the run needs about {found.pulses_per_cell:.0f} pulses a cell{earlier}, "
                f"the bench allows {found.budget}",
                device=self.rig.rack.name,
                todo="Nothing was switched on; fewer epochs, larger batches or a coarser units.tolerance need fewer",
            )
        return found

    def report(self) -> dict[str, float]:
        """The last plan beside what was done: seconds on the bench's clock, phases, pulses of the busiest cell."""
        spent = self.rig.spent.pulses
        done = {
            "elapsed_s": self.rig.clock.now_s() - self._begin,
            "phases": 0 if self._array is None else self._array.phases,
            "most_pulses_a_cell": int(spent.max()),
            "mean_pulses_a_cell": float(spent[spent > 0].mean()) if spent.any() else 0.0,
            "pulse_budget": self.rig.limits.pulses_per_cell,
            "most_joules_a_cell": float(self.rig.spent.joules.max()),
            "cells_off_target": 0 if self._array is None else self._array.unverified,
        }
        if self._plan is None:
            return done
        work = self._plan.work
        return {"planned_s": self._plan.seconds, "planned_phases": work.free_phases + work.nudged_phases, **done}

    def deeds(self) -> Deeds:
        """What the crossbar did for this session."""
        return self.rig.accounts.done.total

    @contextmanager
    def counting(self, file: DeedFile) -> Iterator[None]:
        """Within it, a file counts along; it gets what was done so far."""
        self.rig.accounts.count_into(file)
        try:
            yield
        finally:
            self.rig.accounts.count_no_more(file)

    def cells(self) -> dict[str, CellMaps]:
        """What the cells have had in all sessions, and what was last written into them."""
        spent = self.rig.spent
        held = np.full(spent.pulses.shape, np.nan) if self._array is None else self._array.held_s
        return {"crossbar": CellMaps(spent.pulses[None].copy(), spent.joules[None].copy(), held[None])}

    def standing(self) -> dict[str, object]:
        """How the rack is right now, for those who watch, by what it was told; no instrument is asked."""
        outputs, limits, lease = self.rig.outputs, self.rig.limits, self.rig.lease
        on, levels = outputs.on_by_box(), dict(outputs.levels)
        holds = f"at most {limits.current_a:g} A, {limits.nudge_v:g} V"
        instruments = []
        for name in self.rig.boxes:
            channels = [(c, levels.get(f"{name}.{c}")) for c in on.get(name, ())]
            told = ", ".join(c if level is None else f"{c} at {level:.4g}" for c, level in channels)
            sources = any(level is not None for _, level in channels)
            output = f"on: {told}" if told else "off"
            instruments.append({"name": name, "output": output, "compliance": holds if sources else ""})
        return {
            "outputs": bool(on), "lease_s": lease.seconds, "lease_left_s": lease.left_s, "instruments": instruments,
            "pulses": limits.pulses_per_cell, "energy_j": limits.energy_per_cell_j,
        }  # fmt: skip

    def set_temperature(self, kelvin: float) -> None:
        """Brings the crossbar to a temperature by the rack's stage; raises as `drivers.rack.stage.bring_to`."""
        bring_to(self.rig, kelvin)

    def save_flight(self, path: Path) -> None:
        """Leaves the last traffic of every instrument beside `path`, one file each."""
        for name, box in self.rig.boxes.items():
            if (recorder := box.dialogue.recorder) is not None:
                recorder.save(path.with_name(f"{path.stem}-{name}{path.suffix}"), f"{name} of {self.address}")

    def describe(self) -> dict[str, object]:
        """The rack, who its instruments are, and what it may do."""
        rack = self.rig.rack
        return {
            "kind": "rack",
            "model": rack.name,
            "instruments": {name: box.identity() for name, box in self.rig.boxes.items()},
            "found_on": self.rig.left_on,
            "temperature_k": temperature_k(self.rig),
            "limits": rack.limits.model_dump(mode="json"),
            "timing": rack.timing.model_dump(mode="json"),
            "units": rack.units.model_dump(mode="json"),
        }

    def state_dict(self) -> dict[str, Tensor]:
        """Pulses and joules spent a cell; what the cells hold is in the cells."""
        spent = self.rig.spent
        return {
            "pulses_spent": torch.from_numpy(spent.pulses.copy()),
            "joules_spent": torch.from_numpy(spent.joules.copy()),
        }

    def load_state_dict(self, state: MappingABC[str, Tensor]) -> None:
        """Takes over the counts, which never fall; every cell is written and verified before the next step."""
        pulses = state["pulses_spent"].numpy()
        joules = state["joules_spent"].numpy() if "joules_spent" in state else np.zeros(pulses.shape)
        self.rig.spent.had(pulses, joules)

    def close(self) -> None:
        """Sources down, outputs off, relays open, sessions ended."""
        with self.rig:
            if self._array is not None and not self.rig.tripped:
                self._array.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close() if kind is None else self.rig.__exit__(kind, value, trace)


def plan_of(experiment: Experiment, bench: RackBench, dataset: Dataset) -> Plan:
    """Plan of a training run; call it once the model is placed."""
    run = experiment.run
    tests = -(-run.epochs // run.evaluate_every)
    rule = experiment.estimator
    nudges = len(rule.levels()) if isinstance(rule, Estimator) else 2
    return bench.plan(len(dataset.train), len(dataset.test), run.batch, run.epochs, tests, nudges)
