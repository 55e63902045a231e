"""Makes a card: tries the rules, trains the tasks, gathers what was measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from hil.training.benchmark import measured, rules
from hil.training.benchmark.card import FORMAT, Card
from hil.training.benchmark.points import Setting, validated
from hil.training.benchmark.tasks import TRIALS, BenchmarkError, Counterpart
from hil.training.study.grid import Row
from hil.training.study.point import Task

Worker = Callable[[Sequence[Task]], Mapping[Path, list[Row]]]
"""Has trainings done; their rows by folder."""


def made(
    counterpart: Counterpart,
    setting: Setting,
    takes: Mapping[str, str],
    left_out: Mapping[str, str],
    seeds: Sequence[int],
    candidates: Mapping[str, str],
    work: Worker,
) -> Card:
    """The card of a counterpart.

    Args:
        counterpart: Which.
        setting: Of all trainings.
        takes: Experiment of every task.
        left_out: Why the others are not done.
        seeds: Of the trainings.
        candidates: Rules it can learn by; of several the one that does best in a trial is taken.
        work: Has the trainings done.

    Raises:
        BenchmarkError: no rule of several could be tried.
    """
    tried, tried_on = _tried(setting, takes, candidates, work)
    kind = rules.best(tried) if tried else next(iter(candidates))
    update = candidates[kind]
    pairs = {task: [setting.pair(experiment, update, seed) for seed in seeds] for task, experiment in takes.items()}
    found = work([one for each in pairs.values() for pair in each for one in pair])
    done = [
        measured.done(
            counterpart,
            task,
            takes[task],
            kind,
            {learning.folder: found[learning.folder] for learning, _ in each},
            {frozen.folder: found[frozen.folder] for _, frozen in each},
        )
        for task, each in pairs.items()
    ]
    return Card(
        format=FORMAT,
        device=measured.device_of(counterpart),
        software=f"crossbar-hil {version('crossbar-hil')}, torch {version('torch')}",
        made=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        seeds=list(seeds),
        update=update,
        tried=tried,
        tried_on=tried_on,
        tasks=done,
        left_out=dict(left_out),
    )


def _tried(
    setting: Setting, takes: Mapping[str, str], candidates: Mapping[str, str], work: Worker
) -> tuple[dict[str, float], str]:
    """Accuracy of every rule on samples set apart, and the task; nothing where there is one rule, or nothing to do."""
    if len(candidates) == 1 or not takes:
        return {}, ""
    task = next((name for name in TRIALS if name in takes), next(iter(takes)))
    trials = {kind: setting.trial(takes[task], update) for kind, update in candidates.items()}
    rows = work(list(trials.values()))
    tried = {kind: found for kind, trial in trials.items() if (found := validated(trial)) is not None}
    if not tried:
        notes = "; ".join(row.note for each in rows.values() for row in each if row.note)
        raise BenchmarkError(f"{setting.address}: no rule could be tried on {task}: {notes}")
    return tried, task
