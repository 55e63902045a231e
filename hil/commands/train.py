"""`hil train EXPERIMENT`."""

from __future__ import annotations

from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from hil.commands import BenchFile, VisaLibrary, complain, named, refuse_device, refuse_early, to_be_written
from hil.training import garbage

if TYPE_CHECKING:
    from contextlib import ExitStack

    from rich.console import Console

    from hil.experiments.schema import Experiment
    from hil.training.loop import Outcome
    from hil.training.ranks import Ranks
    from hil.training.run.folder import RunFolder
    from hil.training.run.interrupt import StopRequest

HURRY_S = 0.25
"""A step on a real device that outlasts a stop signal by this much is broken off: outputs are off within a second."""
NOT_BEGUN = "before the first step"


def command(
    experiment: Annotated[
        str | None,
        typer.Argument(help="Shipped name (digits, mnist-dense, ...) or a TOML file; a run's own on --resume."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="Address of the counterpart, e.g. reference: or emulator:mixed-8bit?seed=1; {rank} in it is the "
            "number of the process under torchrun."
        ),
    ] = None,
    bench: BenchFile = None,
    visa_library: VisaLibrary = None,
    data_root: Annotated[Path, typer.Option(help="Folder that holds the data sets.")] = Path("data"),
    run_dir: Annotated[Path | None, typer.Option(help="Run folder; runs/NAME when left out.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a value of the experiment.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint of the run.")] = False,
    init: Annotated[
        Path | None, typer.Option(help="Run folder of an earlier training, whose weights this one begins with.")
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", is_eager=True, help="Replace an earlier run in the folder, and the file of --json."
        ),
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write the summary here, too.", callback=to_be_written)] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Of a rack: list what would go out, how long, how many pulses; send nothing."),
    ] = False,
) -> None:
    """Trains an experiment against a counterpart and leaves a run folder with its report."""
    address = named(device, bench)
    alone = "WORLD_SIZE" not in environ  # the ranks of torchrun are refused together
    if alone and not dry_run:
        refuse_device(address, visa_library)

    from json import dumps

    from hil.training import asked

    folder_path, experiment = asked.which(experiment, run_dir, resume=resume)
    overrides = list(set_ or [])
    if address is not None:
        overrides.append(f"device={dumps(address)}")
    if alone and dry_run:
        refuse_early(experiment, overrides)
    elif alone:
        asked.refuse_early(experiment, overrides, folder_path, init, resume=resume, overwrite=overwrite)

    with garbage.loading():
        from hil.cli import DEVICE_FAILED
        from hil.outputs import write_result
        from hil.terminal import Terminal
        from hil.training.ranks import RankError, joined
        from hil.training.wording import said

    with joined() as ranks:
        console = Terminal(quiet=not ranks.first)
        if dry_run:
            if not asked.plan_of_a_rack(console, experiment, overrides, data_root):
                raise typer.BadParameter(
                    "--dry-run is for racks; characterize, calibrate and conform have one for any device"
                )
            return
        loaded = asked.settings(console, experiment, overrides, folder_path, resume=resume, overwrite=overwrite)
        try:
            outcome, folder = open_and_train(
                console,
                loaded,
                folder_path,
                data_root,
                ranks,
                resume=resume,
                overwrite=overwrite,
                visa_library=visa_library,
                init=init,
            )
        except RankError as error:
            if ranks.first:  # one message for all of them
                complain(error)
            ranks.part()  # torchrun ends the others when one has left
            raise typer.Exit(DEVICE_FAILED) from None
    if json is not None and ranks.first:
        write_result(json, outcome.summary)
    tested = {f"test_{key}": value for key, value in cast("dict[str, float]", outcome.summary["test"]).items()}
    console.print(
        f"{said(tested, 'test') or 'not tested'}, "
        f"{outcome.summary['steps']} steps in {outcome.summary['seconds']} s on {loaded.device}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"report: {folder.report}", highlight=False, soft_wrap=True)
    if outcome.signal is not None:
        console.print(f"stopped by {outcome.signal.name}; --resume goes on from here", highlight=False)
        raise typer.Exit(128 + outcome.signal)


def open_and_train(
    console: Console,
    experiment: Experiment,
    path: Path,
    data_root: Path,
    ranks: Ranks,
    *,
    resume: bool,
    overwrite: bool,
    visa_library: str | None = None,
    init: Path | None = None,
) -> tuple[Outcome, RunFolder]:
    """Opens everything in the order in which it can be refused: what needs no opening first, the folder last.

    The folder is this process's alone until its report is written, and signals ask until then.
    """
    from contextlib import ExitStack

    from hil.training.run.interrupt import StopRequest

    with StopRequest() as stop, ExitStack() as held:
        told = (console, experiment, path, data_root, ranks)
        return _open_and_train(
            *told, stop, held, resume=resume, overwrite=overwrite, visa_library=visa_library, init=init
        )


def _open_and_train(
    console: Console,
    experiment: Experiment,
    path: Path,
    data_root: Path,
    ranks: Ranks,
    stop: StopRequest,
    held: ExitStack,
    *,
    resume: bool,
    overwrite: bool,
    visa_library: str | None,
    init: Path | None,
) -> tuple[Outcome, RunFolder]:
    import sys
    import time
    from contextlib import nullcontext, suppress
    from functools import partial

    with garbage.loading():
        import torch

        from drivers.errors import DeviceError
        from hil import data
        from hil.counterparts.device import recorded_failure
        from hil.counterparts.opening.bench import open_bench
        from hil.counterparts.opening.meant import check_address
        from hil.counterparts.rack import RackBench, plan_of
        from hil.data.batches import Batches
        from hil.learning.model import build
        from hil.measuring.calibrate.bench import counterpart_of
        from hil.training import loaded, steps, sync_norm, threads
        from hil.training.loop import train
        from hil.training.run import folder, marked
        from hil.training.run.atomic import write_json
        from hil.training.screen import open_screen
        from hil.training.stopping import stops
        from hil.watching import alarm

    opened: RunFolder | None = None
    began = time.time()
    try:
        where, address = ranks.device, experiment.device.replace("{rank}", str(ranks.rank))
        check_address(address)
        _check_parts(experiment, ranks)
        dataset = data.load(experiment.data, data_root)
        run, (free, nudged) = experiment.run, stops(experiment.settle)
        batches = len(Batches(dataset.train, run.batch, run.seed, run.drop_last))
        console.print(
            f"{experiment.title or dataset.name}: {len(dataset.train)} training, {len(dataset.test)} test samples, "
            f"{experiment.device}, seed {run.seed}",
            highlight=False,
            soft_wrap=True,
        )
        if where.type == "cuda":
            console.print(f"on {where}; CUDA_VISIBLE_DEVICES= (empty) in the environment: on the CPU", highlight=False)
        with (
            open_bench(
                address,
                device=where,
                dtype=getattr(torch, run.dtype),
                stop=free,
                nudged_stop=nudged,
                visa_library=visa_library,
                convolutions=experiment.settle.convolutions,
            ) as bench,
        ):
            model = build(experiment, bench, dataset.shape, dataset.classes).to(where)
            if changed := threads.choose(model, run.batch, path if resume else None):
                console.print(changed, highlight=False, soft_wrap=True)
            if init is not None and not resume:
                loaded.take_weights(model, loaded.weights_of(folder.find(init)).tensors, f"--init {init}")
            steps.refuse_steps_that_cannot_be_taken(run, model, len(dataset.train), ranks)
            if run.sync_batch_norm and ranks.count > 1:
                sync_norm.synchronized(model, ranks)
            if isinstance(bench, RackBench):
                if left := bench.rig.left_on:
                    console.print(f"found on and switched off: {', '.join(left)}", highlight=False, soft_wrap=True)
                console.print(f"plan: {plan_of(experiment, bench, dataset)}", highlight=False, soft_wrap=True)
            opened = _open_folder(experiment, path, ranks, held, resume=resume, overwrite=overwrite)
            stop.hurry_s = HURRY_S if bench.describe()["kind"] in ("device", "rack") else None
            watched = partial(recorded_failure, counterpart_of(bench), opened.flight)
            with (
                folder.begun(opened, new=not resume and ranks.count == 1),
                open_screen(console, run.epochs, batches) as screen,
                watched(),
                garbage.kept(),
            ):
                threads.form_beside(model)
                outcome = train(experiment, model, bench, dataset, opened, screen, lambda: stop.signal, ranks, watched)
                if outcome.signal is not None:
                    stop.heard()  # what is left, outputs off and a report, is not broken off
            if (report := getattr(counterpart_of(bench), "report", None)) is not None:
                write_json(opened.path / "counterpart.json", report())
            return outcome, opened
    except KeyboardInterrupt:
        if opened is None or stop.signal is None:
            raise
        stop.heard()
        console.print(f"stopped by {stop.signal.name} within a step; --resume goes on from the step before it")
        raise typer.Exit(128 + stop.signal) from None
    except (ValueError, OSError, DeviceError) as error:
        if opened is None:
            ranks.check(error, NOT_BEGUN)  # the others wait for this one, and are to say why
        raise
    finally:
        if opened is not None and opened.config.is_file() and ranks.first and not marked.taken_away(path):
            if (told := alarm.of_run(experiment.device, opened.path, began)) is not None:  # the report may take long
                console.print(told, highlight=False, soft_wrap=True, markup=False)
            # what ended the run is what is said
            with suppress(OSError, ImportError) if sys.exception() else nullcontext():
                with garbage.loading():
                    from hil.report.training import write_report  # plotting is half as much to import as torch

                write_report(opened)


def _check_parts(experiment: Experiment, ranks: Ranks) -> None:
    """Equal parts: the average over ranks is then the gradient of the joined batch."""
    from hil.training.run.folder import RunError

    run = experiment.run
    if ranks.count > 1 and experiment.update.pulsed:
        raise RunError(
            f"update.kind = {experiment.update.kind!r} keeps the weights in one chip's cells: several ranks would "
            "drift apart"
        )
    if ranks.count > 1 and (run.batch % ranks.count or not run.drop_last):
        raise RunError(
            f"{ranks.count} ranks need equal parts: set run.drop_last = true and run.batch to a multiple of "
            f"{ranks.count} (it is {run.batch}, of all ranks together)"
        )


def _open_folder(
    experiment: Experiment, path: Path, ranks: Ranks, held: ExitStack, *, resume: bool, overwrite: bool
) -> RunFolder:
    """The run's folder, held by the first rank; every other has one of its own inside, with its counterpart's part."""
    from hil.training.run import folder

    ranks.check(when=NOT_BEGUN)  # all have their counterpart, and have looked whether the folder is free
    if ranks.first:
        held.enter_context(folder.writing(path))
        opened = _taken_up(path, experiment) if resume else folder.start(path, experiment, overwrite=overwrite)
    ranks.check(when=NOT_BEGUN)
    if not ranks.first:
        own = folder.of_rank(path, ranks.rank)
        opened = folder.RunFolder(own) if own.exists() else folder.start(own, experiment)
        folder.refuse_lost(opened)
    ranks.check(when=NOT_BEGUN)
    return opened


def _taken_up(path: Path, experiment: Experiment) -> RunFolder:
    """The folder of a run that goes on, which nobody has replaced since its settings were read."""
    from hil.experiments import experiment_file
    from hil.training import asked
    from hil.training.run import folder
    from hil.training.run.atomic import write_text

    opened = folder.reopen(path)
    there = experiment_file.load(opened.config)
    now = asked.longer(there, experiment).model_copy(update={"device": experiment.device})
    if changed := experiment_file.differences(now, experiment):
        raise folder.RunError(f"{path} holds another run now ({'; '.join(changed)}): start again")
    if asked.longer(there, experiment) != there:
        write_text(opened.config, experiment_file.dump(asked.longer(there, experiment)))
    return opened
