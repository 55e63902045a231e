"""Commands of `hil`: the module `hil/commands/NAME.py` is `hil NAME`, its function `command` (or its typer `app`).

They import torch and the rest of the package inside the function, so that `hil --help` answers at once.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from firmware_specs.printable import printable

MOST = 200_000
"""Characters of one piece of text."""
RunsFolder = Annotated[Path, typer.Argument(help="Folder of a run, or of several.")]
BenchFile = Annotated[
    Path | None, typer.Option("--bench", help="Bench file (TOML); --device is then the name of a device in it.")
]
VisaLibrary = Annotated[
    str | None,
    typer.Option(
        "--visa-library",
        metavar="NAME",
        envvar="CROSSBAR_HIL_VISA",
        show_envvar=False,
        help="VISA library as pyvisa names it: @py, @ivi, or a path; or the variable CROSSBAR_HIL_VISA.",
    ),
]


def named(device: str | None, bench: Path | None) -> str | None:
    """A device as every command takes it: an address, `bench:FILE#NAME`, or `--bench FILE --device NAME`.

    Raises:
        typer.BadParameter: a bench file and no name in it.
    """
    if bench is None:
        return device
    if device is None:
        raise typer.BadParameter(f"which device of {bench}? give --device NAME")
    return device if device.startswith("bench:") else f"bench:{bench.absolute()}#{device}"


def needed(device: str | None, bench: Path | None) -> str:
    """The same where there is no usual device.

    Raises:
        typer.BadParameter: none is named.
    """
    address = named(device, bench)
    if address is None:
        raise typer.BadParameter("which device? give --device ADDRESS, or --bench FILE --device NAME")
    return address


def refuse_device(address: str | None, visa_library: str | None = None) -> None:
    """An address that names nothing, and a device on a wire that somebody owns, are refused before torch is loaded.

    Raises:
        drivers.errors.Busy: somebody owns it. AddressError, BenchFileError, DatasheetError,
        drivers.errors.BadAddress: as `open_bench`.
    """
    if address is None or "{rank}" in address:
        return
    from drivers.doors import is_wire
    from drivers.lock import refuse_owned
    from hil.counterparts.opening.meant import meant_by

    meant = meant_by(address, visa_library).entry.address
    if is_wire(meant):
        refuse_owned(meant)


def refuse_early(experiment: str, overrides: Sequence[str] | None = None) -> None:
    """What needs no torch to be refused is refused before it is loaded.

    Args:
        experiment: A shipped name or a file.
        overrides: As with `--set`.

    Raises:
        hil.experiments.experiment_file.ExperimentError: there is none, it cannot be read, or a key does not exist.
    """
    from hil.experiments import experiment_file

    experiment_file.refuse_early(experiment, overrides or ())


class Group(TyperGroup):
    """Commands below one, whose help has a sentence of each in full."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Their names and sentences."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.sentence(name)) for name in self.list_commands(ctx)])

    def sentence(self, name: str) -> str:
        """The first paragraph of a command's help."""
        return paragraph(self.commands[name].help)


def group(said: str) -> typer.Typer:
    """A command with commands below it."""
    return typer.Typer(cls=Group, no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=said)


def paragraph(text: str | None) -> str:
    """The first one, on one line."""
    return " ".join((text or "").partition("\n\n")[0].split())


Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", is_eager=True, help="Replace files that are there, whoever wrote them."),
]


def to_be_written(context: typer.Context, path: Path | None) -> Path | None:
    """Callback of options that name a file: one that cannot be written is refused before anything is measured.

    Raises:
        typer.BadParameter: it is a folder, its folder is not there, or it is a file that somebody else wrote.
    """
    return writable(path, overwrite=bool(context.params.get("overwrite")))


def writable(path: Path | None, *, overwrite: bool) -> Path | None:
    """The path, where it may be written; see `to_be_written`."""
    from hil.outputs import NotReplaced, refuse_replacing

    if path is not None and path.is_dir():
        raise typer.BadParameter(f"{path} is a folder; the name of a file is expected")
    if path is not None and not path.parent.is_dir():
        raise typer.BadParameter(f"cannot write {path}: there is no folder {path.parent}; make it, or name another")
    if path is not None:
        try:
            refuse_replacing(path, overwrite=overwrite)
        except (NotReplaced, OSError) as error:
            raise typer.BadParameter(str(error)) from error
    return path


def complain(error: Exception) -> None:
    """Says what went wrong, and what was noted with it, on the error stream."""
    said = "\n".join([f"hil: {error}", *getattr(error, "__notes__", [])])
    print(printable(said, MOST, lines=True), file=sys.stderr, flush=True)


def say(text: str, *, err: bool = False) -> None:
    """One piece of text, made printable, on standard output or the error stream."""
    typer.echo(printable(text, MOST, lines=True), err=err)
