"""The training loop, top to bottom: the order of effects is the order of lines."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from drivers.errors import DeviceError
from hil.counterparts.seam import Bench, NotFinite, busy, rest
from hil.data import Dataset, check_fits
from hil.data.ahead import ahead
from hil.data.batches import Batches
from hil.experiments.schema import Experiment
from hil.learning.gradients.followed import scores_and_loss
from hil.learning.loss import Task, task
from hil.learning.model import observed
from hil.training import best
from hil.training.cosines import Cosines
from hil.training.evaluate import Evaluation, evaluate
from hil.training.gradient_norms import GradientNorms
from hil.training.optimize import learning_rate, optimizer
from hil.training.ranks import ALONE, RankError, Ranks
from hil.training.run import checkpoint, provenance
from hil.training.run.atomic import write_json
from hil.training.run.folder import RunError, RunFolder, note_checkpoint
from hil.training.run.marked import refuse_taken_away
from hil.training.run.metrics import MetricsFile
from hil.training.state import Position, TrainState
from hil.training.tally import Tally
from hil.training.tensorboard import EventFile
from hil.training.update import CellUpdates
from hil.watching.recorder import Recorder

SAVING_S = 300.0
"""How long a checkpoint may take on a slow disk while outputs are on; they go off when it takes longer."""


class Screen(Protocol):
    """Where progress is shown."""

    def step(self, position: Position, record: dict[str, float]) -> None:
        """After every step."""
        ...

    def epoch(self, position: Position, record: dict[str, object]) -> None:
        """After every epoch."""
        ...


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        summary: What `summary.json` holds.
        signal: The signal that stopped it before its end, if any.
    """

    summary: dict[str, object]
    signal: signal.Signals | None = None


def train(
    experiment: Experiment,
    model: nn.Module,
    bench: Bench,
    dataset: Dataset,
    folder: RunFolder,
    screen: Screen,
    asked_to_stop: Callable[[], signal.Signals | None],
    ranks: Ranks = ALONE,
    watched: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Outcome:
    """Trains an experiment from its newest checkpoint, or from scratch where its folder has none.

    Args:
        experiment: What to train.
        model: Built from it, on its torch device.
        bench: Open counterpart its blocks are placed on.
        dataset: What to learn.
        folder: Run folder, started or reopened.
        screen: Shows progress.
        asked_to_stop: Looked at after every step; a signal writes a checkpoint and ends the run.
        ranks: The processes that train together, each on its part of every batch with a counterpart of its own.
        watched: Stands around what a step does with the counterpart: keeps the traffic of one that fails.

    Raises:
        RankError: another rank failed; a checkpoint of the last whole step has been written.
        DeviceError: the counterpart failed; a checkpoint of the last whole step has been written.
        KeyboardInterrupt: stopped in the middle of a step; likewise.
        RunError: the loss, a current or a parameter is not finite.
    """
    run, goal = experiment.run, task(experiment.loss)
    check_fits(goal, experiment.loss, dataset)
    device, dtype = (parameter := next(model.parameters())).device, parameter.dtype
    if experiment.update.by_states and ranks.count > 1:
        raise RunError(
            f"update.kind = {experiment.update.kind!r}: each rank's chip would learn from its part of a batch alone; "
            "use one rank"
        )
    cells = CellUpdates(model, experiment.update, run.seed)
    state = TrainState(model, optimizer(experiment.optimizer, cells.host_parameters), bench, Position(), cells)
    metrics_bytes = _restore(state, folder, ranks)
    at = state.position
    provenance.record(folder.provenance, experiment, bench, dataset, at.step, device)
    part = (ranks.rank, ranks.count)
    batches = Batches(dataset.train, run.batch, run.seed, run.drop_last, dataset.augment, device, *part)
    tally, norms, cosines = Tally(), GradientNorms(model), Cosines(model, run.cosine_every)

    with (
        MetricsFile(folder.metrics, metrics_bytes) as metrics,
        EventFile(folder.tensorboard, at.step, bench) as events,
        Recorder(folder, experiment, bench, model, len(batches), at) as recorder,
    ):
        every_block = recorder.observers(model, tally.add)

        def save(between_steps: bool = True, last: bool = False) -> None:
            refuse_taken_away(folder.shared.path)
            with busy(bench, SAVING_S):
                whole = state.checkpoint(metrics.size, between_steps)
                if last:
                    rest(bench)  # the disk may be slow
                metrics.sync()
                checkpoint.write(folder.checkpoints, at.step, whole, run.keep_checkpoints)
                provenance.note_convolutions(folder.provenance, bench)
                note_checkpoint(folder)

        def test() -> Evaluation:
            with recorder.stage("test"):
                tested = evaluate(model, dataset, goal, run.eval_batch, ranks)
            at.test_accuracy, at.test = tested.accuracy, tested.metrics
            write_json(folder.evaluation, tested.document())
            return tested

        model.train()
        before: dict[str, Tensor] | None = None
        try:
            while at.epoch < run.epochs and not best.patience_is_over(at, run.stop_after):
                # closed here, where a signal is an error like any other, and not by whoever collects what is left over
                with closing(ahead(batches.epoch(at.epoch, start=at.batch))) as coming:
                    for images, labels in coming:
                        began = time.perf_counter()
                        lr = learning_rate(experiment, at.epoch, at.batch, len(batches))
                        before = state.before_step()
                        with observed(model, every_block), cosines.of(at.step):
                            images = dataset.prepare(images, device, dtype)
                            sums, pulsed = step(state, cells, lr, goal, images, labels, ranks, watched)
                        samples = len(labels) * ranks.count
                        loss_sum, correct = sums.tolist()
                        if not math.isfinite(loss_sum):
                            raise NotFinite(f"the loss is {loss_sum}")
                        _advance(at, samples, loss_sum, correct, time.perf_counter() - began)
                        before = None
                        means = {"loss": loss_sum / samples, goal.measure: correct / samples}
                        record = {"lr": lr, **means, **tally.take(), **norms.take(), **cosines.take(), **pulsed}
                        refuse_taken_away(folder.shared.path)
                        metrics.write({"kind": "step", "step": at.step, "epoch": at.epoch, **record})
                        events.step(at, record)
                        recorder.step(record)
                        screen.step(at, record)
                        signalled = ranks.largest(asked_to_stop() or 0)
                        stopped = signal.Signals(signalled) if signalled else None
                        if stopped or (run.checkpoint_every and at.step % run.checkpoint_every == 0):
                            save(last=stopped is not None)
                        if stopped:
                            return Outcome(_summarize(folder, state, experiment, recorder, stopped.name), stopped)

                done = at.epoch + 1
                record_epoch: dict[str, object] = {"loss": at.loss_sum / at.seen, goal.measure: at.correct / at.seen}
                if dataset.validation is not None:
                    with recorder.stage("validation"):
                        held = evaluate(model, dataset, goal, run.eval_batch, ranks, dataset.validation)
                    record_epoch |= _record("validation", held)
                    if best.note(at, held, goal) and run.keep_best:
                        best.keep(folder, model, at)
                if done % run.evaluate_every == 0 or done == run.epochs:
                    record_epoch |= _record("test", test())
                at.epoch, at.batch, at.loss_sum, at.correct, at.seen = done, 0, 0.0, 0, 0
                record_epoch["weights"] = _weights(state)
                metrics.write({"kind": "epoch", "step": at.step, "epoch": at.epoch, **record_epoch})
                events.epoch(at, record_epoch, model)
                recorder.epoch(record_epoch)
                screen.epoch(at, record_epoch)
                save()
            if run.keep_best and best.take(folder, model):
                test()
            return Outcome(_summarize(folder, state, experiment, recorder, _why(at, run.epochs)))
        except NotFinite as error:
            raise RunError(
                f"training diverged at step {at.step + 1}: {error}. Lower optimizer.lr, or the slope of the blocks"
            ) from error
        except (DeviceError, RankError, KeyboardInterrupt):
            if before is not None:
                state.undo_step(before)
            save(between_steps=False, last=True)
            raise


def _restore(state: TrainState, folder: RunFolder, ranks: Ranks) -> int:
    """Takes up the newest step every rank has; a rank that is new starts its counterpart at the first rank's step.

    Returns:
        Length of `metrics.jsonl` to go on from, bytes.
    """
    mine = checkpoint.newest(folder.checkpoints)
    step = ranks.smallest(2**62 if mine is None and not ranks.first else _step_of(mine))
    if step < 0:
        return 0
    mine = checkpoint.newest(folder.checkpoints, step)
    if _step_of(mine) == step and mine is not None:
        return _put_back(state, mine, folder)
    first = checkpoint.newest(folder.shared.checkpoints, step)
    if first is None or _step_of(first) != step:
        raise RunError(f"{folder.shared.path}: the checkpoint of step {step} is gone: raise run.keep_checkpoints")
    _put_back(state, first.without("bench."), folder.shared)
    return 0


def _put_back(state: TrainState, found: checkpoint.Checkpoint, folder: RunFolder) -> int:
    try:
        return state.restore(found)
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise RunError(
            f"{folder.checkpoints}: the checkpoint of step {_step_of(found)} does not fit the experiment in "
            f"{folder.config}: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from error


def _step_of(found: checkpoint.Checkpoint | None) -> int:
    return -1 if found is None else int(found.facts["position"]["step"])


def step(
    state: TrainState,
    cells: CellUpdates,
    lr: float,
    goal: Task,
    images: Tensor,
    labels: Tensor,
    ranks: Ranks,
    watched: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> tuple[Tensor, dict[str, float]]:
    """Free phases forward, nudged phases backward, projected update.

    Returns:
        Sums of losses and of the task's measure, (2,); pulses sent and cells that were to get more, where pulses move
        the cells.
    """
    for group in state.optimizer.param_groups:
        group["lr"] = lr
    labels = labels.to(images.device)
    state.optimizer.zero_grad(set_to_none=True)
    try:
        with watched():
            scores, mean = scores_and_loss(state.model, goal.loss, images, labels)
            if mean.requires_grad:  # frozen cells and nothing on the host: there is nothing to learn
                mean.backward()
    except (DeviceError, NotFinite) as error:
        ranks.check(error)
        raise
    sums = torch.stack([mean.detach().double() * len(labels), goal.judge(scores.detach(), labels).sum()])
    ranks.exchange(state.model, sums)
    state.optimizer.step()
    sent = cells.step(state.position.step, lr / state.optimizer.defaults["lr"])
    return sums, {} if sent is None else {"pulses": sent.pulses, "capped": sent.capped}


def _advance(at: Position, samples: int, loss_sum: float, correct: float, seconds: float) -> None:
    at.batch, at.step = at.batch + 1, at.step + 1
    at.seconds, at.images = at.seconds + seconds, at.images + samples
    at.loss_sum, at.correct, at.seen = at.loss_sum + loss_sum, at.correct + correct, at.seen + samples


def _record(part: str, tested: Evaluation) -> dict[str, object]:
    found = {"loss": tested.loss, **tested.metrics, **tested.settling}
    return {f"{part}_{key}": value for key, value in found.items()}


def _weights(state: TrainState) -> str:
    return checkpoint.digest(dict(state.model.named_parameters()))


def _why(at: Position, epochs: int) -> str:
    """Why a run that was not stopped is over."""
    return "all epochs done" if at.epoch >= epochs else "no better validation for run.stop_after epochs"


def _summarize(
    folder: RunFolder, state: TrainState, experiment: Experiment, recorder: Recorder, why: str
) -> dict[str, object]:
    at = state.position
    finished = at.epoch == experiment.run.epochs or best.patience_is_over(at, experiment.run.stop_after)
    summary: dict[str, object] = {
        "title": experiment.title,
        "test_accuracy": at.test_accuracy,
        "test": at.test,
        "best_epoch": at.best_epoch if at.best is not None else None,
        "epochs": at.epoch,
        "steps": at.step,
        "images": at.images,
        "seconds": round(at.seconds, 3),
        "images_per_second": round(at.images / at.seconds, 1) if at.seconds else None,
        "device": experiment.device,
        "seed": experiment.run.seed,
        "finished": finished,
        "weights": _weights(state),
        "stopped": why,
        "ledger": recorder.ended(why, "finished" if finished else "stop"),
    }
    if state.cells is not None and (wear := state.cells.wear()):
        summary["wear"] = wear
    write_json(folder.summary, summary)
    return summary
