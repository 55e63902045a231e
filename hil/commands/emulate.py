"""`hil emulate DATASHEET`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.journal import Event


def command(
    datasheet: Annotated[str, typer.Argument(help="Shipped name (mixed-8bit, discrete-board, ...) or a TOML file.")],
    pty: Annotated[bool, typer.Option("--pty", help="Serve frames on a pseudo-terminal.")] = False,
    tcp: Annotated[int | None, typer.Option(metavar="PORT", help="Serve frames on a socket; 0: any free port.")] = None,
    scpi: Annotated[int | None, typer.Option(metavar="PORT", help="Serve SCPI on a socket.")] = None,
    hislip: Annotated[int | None, typer.Option(metavar="PORT", help="Serve SCPI over HiSLIP.")] = None,
    seed: Annotated[int, typer.Option(help="Which specimen of the chip.")] = 0,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="SPEC", help="Faults on the wires: lost_reply=0.01,bit_flip=0.01,seed=3,late_s=0.2 ..."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads the emulated chip computes with.")] = 1,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log every request.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Log nothing.")] = False,
) -> None:
    """Serves an emulated chip as a virtual instrument and prints its addresses, one a line, as --device takes them.

    Without a door all of them are opened. The log goes to standard error. Only this machine can connect.
    """
    import torch

    from emulator.faults import FaultPlan, FaultSpecError
    from emulator.serve import Doors
    from hil.emulate import EVERYTHING, open_board, stopped_by_signals

    doors = Doors(pty, tcp, scpi, hislip)
    try:
        plan = FaultPlan.parse(",".join(fault or []))
    except FaultSpecError as error:
        raise typer.BadParameter(f"--fault: {error}") from error
    torch.set_num_threads(threads)  # the host computes at the same time, on the same cores
    sink = None if quiet else _log(verbose)
    try:
        board = open_board(datasheet, seed, doors if doors.any else EVERYTHING, plan, sink)
    except OSError as error:
        raise typer.BadParameter(f"cannot listen: {error}; port 0 takes any free one") from error
    with stopped_by_signals(board):
        print("\n".join(board.addresses), flush=True)
        board.run()


def _log(verbose: bool) -> Callable[[Event], None]:
    def log(event: Event) -> None:
        if verbose or event.kind != "request":
            print(event, file=sys.stderr, flush=True)

    return log
