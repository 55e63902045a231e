"""The `hil` command: finds its subcommands in `hil.commands` and turns refusals into one clear line."""

from __future__ import annotations

import errno
import os
import pkgutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from inspect import getdoc
from types import ModuleType
from typing import Annotated, Any

import typer

from firmware_specs.printable import printable
from hil import commands
from hil.completion import ASKED, attach
from hil.environment import shielded

BAD_INPUT, DEVICE_FAILED, INTERRUPTED = 2, 3, 130
FILE_SYSTEM = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP),
    *(errno.EIO, errno.EFBIG, errno.ETXTBSY, errno.EMFILE, errno.ENFILE),
)
"""What a folder can be to blame for; errors of ports never get here, `drivers.library_errors` translates them."""

FAILURES = {"drivers.errors:DeviceError", "hil.training.ranks:RankError"}
"""What a device or another rank did. Named, not imported: an extra may be missing, and torch takes seconds."""

REFUSALS = {
    "drivers.errors:BadAddress",
    "emulator.resistive:FloatingNodeError",
    "firmware_specs.datasheet.load:DatasheetError",
    "firmware_specs.extras:ExtraMissing",
    "firmware_specs.racks.load:RackError",
    "firmware_specs.registry.errors:NameTaken",
    "firmware_specs.registry.errors:StaleInstallation",
    "firmware_specs.registry.errors:UnknownName",
    "hil.counterparts.opening.address:AddressError",
    "hil.counterparts.opening.bench_file:BenchFileError",
    "hil.counterparts.seam:PlacementError",
    "hil.data.dataset:DataError",
    "hil.experiments.experiment_file:ExperimentError",
    "hil.experiments.starting:StartError",
    "hil.learning.gradients.baseline:AdjointError",
    "hil.learning.model:ModelError",
    "hil.measuring.characterize.plan:PlanError",
    "hil.measuring.characterize.told:ChipError",
    "hil.measuring.imports.readings:ImportRefused",
    "hil.measuring.maps:MapError",
    "hil.measuring.netlist:NetlistError",
    "hil.measuring.twins.measured:TwinError",
    "hil.training.run.marked:RunError",
}
"""What a person asked for and cannot have, or wrote wrong."""


class Modules(Mapping[str, Any]):
    """Commands by name, each made when it is asked for: a module of `hil.commands` is imported for its own command."""

    def __init__(self) -> None:
        # `import` is a word of Python
        self._modules = {m.name.strip("_").replace("_", "-"): m.name for m in pkgutil.iter_modules(commands.__path__)}
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            module = self.module(name)
            app = getattr(module, "app", None)
            if app is None:
                app = typer.Typer(add_completion=False, rich_markup_mode=None)
                app.command(name)(module.command)
            self._made[name] = typer.main.get_command(app)
            self._made[name].name = name
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)

    def module(self, name: str) -> ModuleType:
        """Where a command is written."""
        return import_module(f"{commands.__name__}.{self._modules[name]}")


class Commands(commands.Group):
    """All commands; `hil --help` needs a sentence of each, not its options."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: Any = Modules()

    def invoke(self, ctx: Any) -> Any:
        """Runs one; what is said of wrong usage may quote a file, and is made printable."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if (said := getattr(error, "format_message", None)) is not None:  # click's, or the one within typer
                text = printable(said(), commands.MOST, lines=True)
                error.format_message = lambda: text  # type: ignore[attr-defined]
            raise

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names."""
        return list(self.commands)

    def sentence(self, name: str) -> str:
        """What a command says of itself."""
        module = self.commands.module(name)
        return commands.paragraph(module.app.info.help if hasattr(module, "app") else getdoc(module.command))


def build_app() -> typer.Typer:
    """The command line with every module of `hil.commands`."""
    app = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # boxes would double what `hil --help` takes
        help="Trains analog crossbar chips with equilibrium propagation.",
    )
    app.callback(invoke_without_command=True)(_root)
    return app


def _root(
    plugin: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE", help="Import a module; what it registers can be chosen by name. Anywhere."),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Show the version.", is_eager=True)] = False,
) -> None:
    """Hardware-in-the-loop testbench for analog crossbars."""
    if version:
        from importlib.metadata import version as installed

        print(f"crossbar-hil {installed('crossbar-hil')}")
        raise typer.Exit
    if plugin:
        from firmware_specs import registry

        for module in plugin:
            registry.plugin(module)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs `hil`; exit codes: 0 done, 2 bad input, 3 the device failed, 128 + N stopped by signal N."""
    with shielded():
        _run(arguments)


def _run(arguments: Sequence[str] | None) -> None:
    try:
        given = list(sys.argv[1:] if arguments is None else arguments)
        _trust_modules_of(given)
        command = typer.main.get_command(build_app())
        if ASKED in os.environ:
            attach(command)
        command(args=_plugins_first(given), prog_name="hil")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        commands.complain(_of_a_file(error) if isinstance(error, OSError) else error)
        sys.exit(code)


def _trust_modules_of(arguments: list[str]) -> None:
    """A person who writes `module:attribute` on the command line has named the module; nothing is imported yet.

    It may stand alone, behind `KEY=`, among others behind commas, and before the rest of an address; `npz:FILE`,
    `bench:FILE#NAME` and the like name no module.
    """
    given = [value for argument in arguments if ":" in argument for value in (argument, argument.partition("=")[2])]
    for text in (part.strip("\"' ") for value in given for part in value.split(",")):
        from firmware_specs import registry

        head = text.partition(":")[0]
        if not any(registry.known(kind, head) for kind in ("counterparts", "transports", "data")):
            registry.trust_path(text)


def _plugins_first(arguments: list[str]) -> list[str]:
    """`--plugin` may stand anywhere; it belongs to `hil` itself, not to the command behind it."""
    first: list[str] = []
    rest: list[str] = []
    end = arguments.index("--") if "--" in arguments else len(arguments)
    take = iter(arguments[:end])
    for argument in take:
        if argument == "--plugin":
            first += [argument, *[value for value in [next(take, None)] if value is not None]]
        else:
            (first if argument.startswith("--plugin=") else rest).append(argument)
    return first + rest + arguments[end:]


def _of_a_file(error: OSError) -> Exception:
    where = f" {error.filename}" if error.filename is not None else " a file"
    said = ValueError(f"cannot read or write{where}: {error.strerror}")
    for note in getattr(error, "__notes__", ()):
        said.add_note(note)
    return said


def _exit_code(error: Exception) -> int | None:
    """Exit code of an error whose message is all a person needs; None for a bug, which shows its traceback."""
    named = {f"{kind.__module__}:{kind.__qualname__}" for kind in type(error).__mro__}
    if named & FAILURES and "drivers.errors:BadAddress" not in named:
        return DEVICE_FAILED
    if named & REFUSALS or (isinstance(error, OSError) and error.errno in FILE_SYSTEM):
        return BAD_INPUT
    return None
