"""`hil emulate DATASHEET`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hil.commands import Overwrite, to_be_written

if TYPE_CHECKING:
    from collections.abc import Callable

    from emulator.journal import Event


def command(
    datasheet: Annotated[
        str | None, typer.Argument(help="Shipped name (mixed-8bit, discrete-board, ...) or a TOML file.")
    ] = None,
    pty: Annotated[bool, typer.Option("--pty", help="Serve frames on a pseudo-terminal.")] = False,
    tcp: Annotated[
        int | None, typer.Option(metavar="PORT", min=0, max=65535, help="Serve frames on a socket; 0: any free port.")
    ] = None,
    scpi: Annotated[int | None, typer.Option(metavar="PORT", min=0, max=65535, help="Serve SCPI on a socket.")] = None,
    hislip: Annotated[
        int | None, typer.Option(metavar="PORT", min=0, max=65535, help="Serve SCPI over HiSLIP.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which specimen of the chip.")] = 0,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="SPEC", help="Faults on the wires: lost_reply=0.01,bit_flip=0.01,seed=3,late_s=0.2 ..."),
    ] = None,
    rack: Annotated[
        str | None, typer.Option(metavar="RACK", help="Serve a rack of instruments instead: shipped name or TOML file.")
    ] = None,
    instrument: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Serve one bench instrument instead: keithley-2450, ...")
    ] = None,
    dut: Annotated[
        str | None,
        typer.Option(
            metavar="PART",
            help="With --instrument: what is at its terminals: resistor:1e3, diode, cell:reram, module:Class.",
        ),
    ] = None,
    lab: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Serve the instruments of a laboratory file instead.")
    ] = None,
    bench_out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --rack: write the bench file here instead of printing it.",
            callback=to_be_written,
        ),
    ] = None,
    real_time: Annotated[
        bool,
        typer.Option(
            "--real-time", help="Requests take the time that the datasheet states; a rack's instruments, too."
        ),
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads the emulated chip computes with.")] = 1,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log every request.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Log nothing.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Serves an emulated chip as a virtual instrument and prints its addresses, one a line, as --device takes them.

    With --rack it serves every instrument of a rack, in its own dialect, and prints or writes a bench file in which
    the rack is the device `rack`. With --instrument or --lab it serves bench instruments in front of a part or a small
    circuit, for scripts of any library, and prints the VISA resource of each. Without a door all of them are opened.
    The log goes to standard error. Only this machine can connect.
    """
    if sum(given is not None for given in (rack, datasheet, instrument, lab)) != 1:
        raise typer.BadParameter("give a datasheet, or one of --rack RACK, --instrument MODEL, --lab FILE")
    if instrument is not None or lab is not None:
        if pty or fault or seed or bench_out is not None or any(port is not None for port in (tcp, hislip)):
            raise typer.BadParameter("--instrument and --lab serve sockets, and take --real-time beside them only")
        _serve_lab(instrument, dut, lab, scpi, real_time)
        return
    if dut is not None:
        raise typer.BadParameter("--dut goes with --instrument")
    if rack is not None:
        if pty or fault or any(port is not None for port in (tcp, scpi, hislip)):
            raise typer.BadParameter("--rack serves each instrument on a socket of its own and takes no other door")
        if seed:
            raise typer.BadParameter("--seed: which specimen a rack has is said in its file, dut.seed")
        _serve_rack(rack, bench_out, real_time)
        return
    if bench_out is not None:
        raise typer.BadParameter("--bench-out goes with --rack; a chip's addresses are printed")
    import torch

    from emulator.faults import FaultPlan, FaultSpecError
    from emulator.serve import Doors
    from firmware_specs.platform import NoTerminal
    from hil.counterparts.opening.emulate import EVERYTHING, open_board, stopped_by_signals

    doors = Doors(pty, tcp, scpi, hislip)
    try:
        plan = FaultPlan.parse(",".join(fault or []))
    except FaultSpecError as error:
        raise typer.BadParameter(f"--fault: {error}") from error
    torch.set_num_threads(threads)  # the host computes at the same time, on the same cores
    sink = None if quiet else _log(verbose)
    try:
        board = open_board(str(datasheet), seed, doors if doors.any else EVERYTHING, plan, sink, real_time=real_time)
    except NoTerminal as error:
        raise typer.BadParameter(f"--pty: {error}") from error
    except OSError as error:
        raise typer.BadParameter(f"cannot listen: {error}; port 0 takes any free one") from error
    with stopped_by_signals(board):
        print("\n".join(board.addresses), flush=True)
        board.run()


def _serve_lab(instrument: str | None, dut: str | None, lab: Path | None, port: int | None, real_time: bool) -> None:
    from hil.counterparts.opening.emulate import stopped_by_signals
    from hil.counterparts.opening.emulate_lab import open_instrument, open_lab

    if lab is not None and (dut is not None or port is not None):
        raise typer.BadParameter("--dut and --scpi go with --instrument; a laboratory file names its circuit")
    try:
        if lab is not None:
            server = open_lab(lab, real_time=real_time)
        else:
            server = open_instrument(str(instrument), dut or "open", port=port or 0, real_time=real_time)
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from error
    with stopped_by_signals(server):
        width = max(map(len, server.addresses))
        lines = (f"{name:{width}}  {address}" for name, address in server.addresses.items())
        print("\n".join(lines if lab is not None else server.addresses.values()), flush=True)
        server.run()


def _serve_rack(name: str, bench_out: Path | None, real_time: bool) -> None:
    from hil.counterparts.opening.emulate import stopped_by_signals
    from hil.counterparts.opening.emulate_rack import bench_file, open_server, write_bench_file

    server = open_server(name, real_time=real_time)
    with stopped_by_signals(server):
        if bench_out is None:
            print(bench_file(server), flush=True)
        else:
            write_bench_file(server, bench_out)
            print(f"bench:{bench_out.absolute()}#rack", flush=True)
        server.run()


def _log(verbose: bool) -> Callable[[Event], None]:
    def log(event: Event) -> None:
        if verbose or event.kind != "request":
            print(event, file=sys.stderr, flush=True)

    return log
