"""Writes what happens in a run as it happens: events with clock time, the ledger, pictures for a page.

None of it may cost a training step more than a percent: steps are noted at most every 0.4 s, pictures and
what a device has to be asked for every few seconds, and less often where making them takes long.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import Any, Self

from torch import nn

from drivers.deed_file import DeedFile
from drivers.errors import DeviceError
from firmware_specs.deeds import NOTHING, Deeds
from hil.counterparts.counted import counted
from hil.counterparts.seam import Bench, Settled
from hil.experiments.schema import Experiment
from hil.learning.model import energy_blocks
from hil.training.run import documents
from hil.training.run.atomic import of_one_name, write_json
from hil.training.run.folder import RunFolder
from hil.training.state import Position
from hil.watching import ledger, picture
from hil.watching.alarm import kind_of
from hil.watching.events import EventLog
from hil.watching.ledger import Kept
from hil.watching.rhythm import Rhythm
from hil.watching.work import Work

STEP_S = 0.4
PICTURE_S = 2.0
CELLS_S = 10.0
STANDING_S = 5.0
KEPT_S = 2.0
STOPPED = "by Ctrl-C or a signal"
NOTES, SHARE = 0.0015, 0.0007
"""Of the time that noting steps, and that each kind of picture and question and the ledger may take."""


class Recorder:
    """Records one session of a run; use it in a `with` statement.

    Args:
        folder: Of the run.
        experiment: What runs.
        bench: The open counterpart.
        model: Placed on it.
        batches: Steps an epoch.
        at: Where the run is.
    """

    def __init__(
        self, folder: RunFolder, experiment: Experiment, bench: Bench, model: nn.Module, batches: int, at: Position
    ) -> None:
        self._folder, self._at, self._bench = folder, at, counted(bench)
        self._standing = getattr(getattr(bench, "bench", bench), "standing", None)
        self._log = EventLog(folder.path)
        self._held = ExitStack()
        self._stage, self._stages = "training", dict[str, Deeds]()
        self._since = NOTHING
        self._file = self._counts()
        self._kept = documents.read(folder.path / ledger.DOCUMENT, Kept) or Kept(started=time.time())
        self._stages |= {name: Deeds(**values) for name, values in self._kept.stages.items()}
        self._work = Work(model)
        self._sums: dict[str, float] = {}
        self._counts_of: dict[str, int] = {}
        self._steps = 0
        self._step, self._picture = Rhythm(STEP_S, NOTES), Rhythm(PICTURE_S, SHARE)
        self._cells, self._asked = Rhythm(CELLS_S, SHARE), Rhythm(STANDING_S, SHARE)
        self._keeping = Rhythm(KEPT_S, SHARE)
        self._batches = batches
        self._drawing = self._picture.due()
        self._seen: dict[str, Settled] = {}
        self._blocks: dict[str, Any] = {}
        self._maps: dict[str, Any] = {}
        self._before = self._kept.cells_before or self._had()
        run = experiment.run
        self._log.write(
            "session", title=experiment.title, device=experiment.device, epochs=run.epochs, batches=batches,
            from_step=at.step, pid=os.getpid(), host=platform.node(),
        )  # fmt: skip

    def observers(self, model: nn.Module, also: Callable[[Settled], None]) -> dict[str, Callable[[Settled], None]]:
        """What the blocks of a model are to be observed with: `also`, and a look for the picture now and then."""
        return {name: self._observer(name, also) for name in energy_blocks(model)}

    def step(self, record: dict[str, float]) -> None:
        """After every step."""
        for name, value in record.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts_of[name] = self._counts_of.get(name, 0) + 1
        self._steps += 1
        if self._step.due():
            with self._step.working():
                self._note()
        if self._asked.due():
            with self._asked.working():
                self._stand()
        if self._keeping.due():
            with self._keeping.working():
                self.keep()
        if self._drawing:
            with self._picture.working():
                self._draw()
        if self._at.batch < self._batches:  # an epoch's last batch waits for the end of the run
            self._seen.clear()
        self._drawing = self._picture.due()

    def epoch(self, record: dict[str, object]) -> None:
        """After every epoch."""
        self._note()
        numbers = {name: value for name, value in record.items() if name != "weights"}
        self._log.write("epoch", step=self._at.step, epoch=self._at.epoch, **numbers)
        if self._keeping.due():
            with self._keeping.working():
                self.keep()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What the device does within it counts as of another stage than training."""
        self._fold()
        before, self._stage = self._stage, name
        self._log.write("stage", name=name)
        try:
            yield
        finally:
            self._fold()
            self._stage = before
            self._log.write("stage", name=before)

    def keep(self) -> None:
        """Puts the ledger on disk."""
        self._fold()
        if self._file is None:
            return
        self._file.flush()
        now = time.time()
        kept = Kept(
            stages={name: deeds.document() for name, deeds in self._stages.items()},
            cells=self._had(), cells_before=self._before, images=self._at.images, epochs=self._at.epoch,
            seconds=self._at.seconds, macs_a_phase=self._work.macs_a_phase, sweeps_a_phase=self._work.sweeps_a_phase,
            started=self._kept.started or now, updated=now,
        )  # fmt: skip
        write_json(self._folder.path / ledger.DOCUMENT, kept.model_dump())

    def ended(self, why: str, alarm: str) -> dict[str, Any] | None:
        """The run, or this session of it, is over; what the ledger says then, for the summary."""
        self._note()
        self._draw(last=True)
        self.keep()
        self._end(why, alarm)
        return ledger.of_run(self._folder.path).document() if self._file is not None else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if value is not None:
            with suppress(OSError, DeviceError):  # what ended the run counts, not what it brings with it
                self.keep()
            stopped = isinstance(value, KeyboardInterrupt)
            said = STOPPED if stopped else str(value).splitlines()[0] if str(value) else type(value).__name__
            self._log.write("fault", error=type(value).__name__, text=said[:1000], step=self._at.step)
            self._end("interrupted" if stopped else "failed", kind_of(value), text=said[:1000])
        self._held.close()
        self._log.close()

    def _end(self, why: str, alarm: str, **more: object) -> None:
        self._log.write("ended", why=why, alarm=alarm, step=self._at.step, epoch=self._at.epoch, **more)

    def _counts(self) -> DeedFile | None:
        if self._bench is None:
            return None
        of_one_name(path := self._folder.path / ledger.COUNTS)
        file = self._held.enter_context(DeedFile(path))
        self._held.enter_context(self._bench.counting(file))
        self._since = file.total - self._bench.deeds()  # what earlier sessions did has its stages already
        return file

    def _fold(self) -> None:
        """Adds what the device did since the last time to the present stage."""
        if self._file is None or self._bench is None:
            return
        self._bench.deeds()  # joules are worked out when somebody asks
        now = self._file.total
        self._stages[self._stage] = self._stages.get(self._stage, NOTHING) + (now - self._since)
        self._since = now

    def _note(self) -> None:
        if not self._steps:
            return
        means = {name: value / self._counts_of[name] for name, value in self._sums.items()}
        self._work.swept(means.get("iterations"))
        if self._bench is not None:
            self._bench.deeds()
        done = {} if self._file is None else {"done": self._file.total.document()}
        self._log.write("step", step=self._at.step, epoch=self._at.epoch, batch=self._at.batch, **means, **done)
        self._sums, self._counts_of, self._steps = {}, {}, 0

    def _stand(self) -> None:
        if self._standing is not None:
            self._log.write("device", **self._standing())

    def _draw(self, *, last: bool = False) -> None:
        if self._bench is not None and (last or self._cells.due()):
            with self._cells.working():
                self._maps = {name: picture.of_cells(maps) for name, maps in self._bench.cells().items()}
        self._blocks |= {name: picture.of_settled(settled) for name, settled in self._seen.items()}
        picture.write(self._folder.path, {"t": time.time(), "blocks": self._blocks, "cells": self._maps})

    def _had(self) -> dict[str, ledger.CellsHad]:
        if self._bench is None:
            return {}
        return {
            name: ledger.CellsHad(
                most_pulses=float(maps.pulses.max()), mean_pulses=float(maps.pulses.mean()),
                energy_j=float(maps.energy_j.sum()), most_energy_j=float(maps.energy_j.max()),
            )
            for name, maps in self._bench.cells().items() if maps.pulses.size
        }  # fmt: skip

    def _observer(self, name: str, also: Callable[[Settled], None]) -> Callable[[Settled], None]:
        def observe(settled: Settled) -> None:
            also(settled)
            self._work.settled(name, settled)
            if (self._drawing or self._at.batch + 1 >= self._batches) and (settled.nudged or name not in self._seen):
                self._seen[name] = settled  # held no longer than it is needed: a batch's states may be large

        return observe
