"""`hil evaluate RUN`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hil.commands import BenchFile, Overwrite, VisaLibrary, named, refuse_device, say, to_be_written

if TYPE_CHECKING:
    from hil.counterparts.seam import Bench
    from hil.training.loaded import LoadedRun


def command(
    run: Annotated[Path, typer.Argument(help="Run folder of a training.")],
    device: Annotated[
        str | None, typer.Option(help="Address of another counterpart; the run's own when left out.")
    ] = None,
    bench: BenchFile = None,
    visa_library: VisaLibrary = None,
    data_root: Annotated[Path, typer.Option(help="Folder that holds the data sets.")] = Path("data"),
    wait_s: Annotated[float, typer.Option(min=0, help="Seconds the chip waits before; cells drift.")] = 0.0,
    temperature_k: Annotated[
        float | None, typer.Option(min=1, help="Temperature of an emulated chip or a rack's stage, kelvin.")
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="Weights of the best epoch (run.keep_best).")] = False,
    json: Annotated[Path | None, typer.Option(help="Write the figures here.", callback=to_be_written)] = None,
    overwrite: Overwrite = False,
) -> None:
    """Tests a trained network: on its own counterpart, on another chip, after a wait, at a temperature."""
    address = named(device, bench)
    refuse_device(address, visa_library)

    from hil.training.run.folder import find

    find(run)
    from hil.outputs import write_result
    from hil.training.loaded import Which, load_run
    from hil.training.wording import said

    which: Which = "best" if best else "newest"
    with load_run(run, address, data_root=data_root, which=which, visa_library=visa_library) as loaded:
        if temperature_k is not None or wait_s:
            _write(loaded)
            _let_pass(loaded.bench, wait_s, temperature_k)
        tested = loaded.evaluate()
        facts = {"run": str(run), "device": loaded.bench.address, "wait_s": wait_s, "temperature_k": temperature_k}
    told = said({f"test_{name}": value for name, value in tested.metrics.items()}, "test")
    say(f"{run} on {facts['device']}: test loss {tested.loss:.4f}  {told}")
    if tested.settling.get("settled", 1.0) < 1:
        say(f"only {tested.settling['settled']:.2%} of the samples came to rest")
    if json is not None:
        write_result(json, facts | tested.document())


def _write(loaded: LoadedRun) -> None:
    """The cells get their weights before the wait, not after it."""
    from hil.learning.model import energy_blocks

    for block in energy_blocks(loaded.model).values():
        block.program()


def _let_pass(bench: Bench, wait_s: float, temperature_k: float | None) -> None:
    from hil.counterparts.emulator import EmulatorBench
    from hil.counterparts.rack import RackBench
    from hil.measuring.calibrate.bench import counterpart_of

    chip = counterpart_of(bench)
    if isinstance(chip, RackBench):
        if temperature_k is not None:
            chip.set_temperature(temperature_k)
        if wait_s:
            chip.rig.wait(wait_s)
        return
    if not isinstance(chip, EmulatorBench):
        raise typer.BadParameter(
            f"{bench.address}: only an emulated chip, and a rack with a stage, wait and warm at a word: wait, or heat, "
            "at the bench itself"
        )
    if temperature_k is not None:
        chip.chip.conditions.temperature_k = temperature_k
    chip.chip.wait(wait_s)
