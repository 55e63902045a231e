"""What a training was asked for: which experiment in which folder, and what a resume may change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hil.experiments import experiment_file
from hil.outputs import RUNS
from hil.training.run import folder

if TYPE_CHECKING:
    from rich.console import Console

    from hil.experiments.schema import Experiment

CHANGEABLE = ("epochs", "checkpoint_every", "keep_checkpoints", "evaluate_every", "eval_batch", "stop_after")
"""Settings of a run that `--resume --set run.KEY=VALUE` may change: none of them changes a step that was done."""


def which(experiment: str | None, run_dir: Path | None, *, resume: bool) -> tuple[Path, str]:
    """Run folder and experiment; a run that is resumed has its own in its folder."""
    if experiment is not None and resume and run_dir is None and (Path(experiment) / "config.toml").is_file():
        run_dir, experiment = Path(experiment), None  # the folder stands where the experiment does
    if experiment is not None:
        return run_dir or RUNS / experiment_file.name_of(experiment), experiment
    if not resume or run_dir is None:
        raise folder.RunError("which experiment? name one, or a run to go on with: --resume --run-dir RUN")
    return run_dir, str(folder.find(run_dir).config)


def refuse_early(
    name: str, overrides: list[str], path: Path, init: Path | None, *, resume: bool, overwrite: bool
) -> None:
    """Refuses what `settings` and the run's weights would be refused for, as far as that needs no torch; looks only."""
    experiment_file.refuse_early(name, overrides)
    if resume:
        folder.refuse_nothing(path)
        return
    folder.check_free(path, overwrite=overwrite)
    if init is not None:
        folder.find(init)


def settings(
    console: Console, name: str, overrides: list[str], path: Path, *, resume: bool, overwrite: bool
) -> Experiment:
    """The experiment to run; on resume the settings in the run's folder count."""
    asked = experiment_file.load(name, overrides)
    if not resume:
        folder.check_free(path, overwrite=overwrite)
        return asked
    if overwrite:
        raise folder.RunError("--resume and --overwrite contradict each other")
    folder.refuse_written(path)
    config = folder.reopen(path).config
    stored, wanted = experiment_file.load(config), experiment_file.load(config, overrides)
    if _by_identity(stored.device) and _by_identity(wanted.device):
        stored = stored.model_copy(update={"device": wanted.device})
    stored = longer(stored, wanted)
    changed = experiment_file.differences(stored, wanted)
    if changed:
        raise folder.RunError(
            f"{path} runs with other settings ({'; '.join(changed)}): leave them out, or start a new run elsewhere"
        )
    ignored = [d for d in experiment_file.differences(asked, stored) if not d.startswith("device:")]
    if ignored:
        console.print(
            f"the settings in {config} count; {name} differs: {'; '.join(ignored)}", highlight=False, soft_wrap=True
        )
    return stored


def _by_identity(address: str) -> bool:
    """Known by its serial number: a resume finds it at another port and checks that it is the same."""
    from drivers.doors import is_wire

    return address.startswith("bench:") or is_wire(address)


def longer(stored: Experiment, wanted: Experiment) -> Experiment:
    """A run's settings with what a resume may change of them: how long it goes on, and how often it is looked at."""
    changes = {key: getattr(wanted.run, key) for key in CHANGEABLE}
    return stored.model_copy(update={"run": stored.run.model_copy(update=changes)})


def plan_of_a_rack(console: Console, name: str, overrides: list[str], data_root: Path) -> bool:
    """Prints what a training on a rack would send, from its file alone; False where the counterpart is no rack."""
    from firmware_specs.printable import printable
    from hil import data
    from hil.counterparts.opening.bench import rack_on_paper
    from hil.counterparts.rack import plan_of
    from hil.learning.model import build

    experiment = experiment_file.load(name, overrides)
    found = rack_on_paper(experiment.device)
    if found is None:
        return False
    bench, paper = found
    dataset = data.load(experiment.data, data_root)
    build(experiment, bench, dataset.shape, dataset.classes)
    console.print(f"planned for {printable(paper.rack.name)}; nothing was opened and nothing sent:")
    for line in [*paper.setpoints(), f"plan           {plan_of(experiment, bench, dataset)}"]:
        console.print(f"  {line}", highlight=False, soft_wrap=True, markup=False)
    return True
