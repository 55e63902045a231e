"""What a shell completes: experiments, datasheets, racks, instruments, and devices of the bench file that was named.

`hil --install-completion` puts it into bash, zsh, fish or PowerShell. In bash a colon ends a word, so that of addresses
only their beginning is completed there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

ASKED = "_HIL_COMPLETE"
"""Set by a shell that wants to complete."""


def attach(command: Any) -> None:
    """Gives the arguments and options of a command, and of those below it, what completes them."""
    click = next(
        of.__module__ for of in type(command).__mro__ if of.__module__.endswith("click.core")
    )  # or typer's own
    completing = import_module(click.removesuffix("core") + "shell_completion")
    for parameter in command.params:
        find = FINDERS.get(parameter.name)
        if find is not None:
            parameter.shell_complete = _completer(find, completing.CompletionItem)
    for below in getattr(command, "commands", {}).values():
        attach(below)


def _completer(find: Callable[[Any, str], Iterable[str]], item: type) -> Callable[[Any, str], list[Any]]:
    def complete(context: Any, incomplete: str) -> list[Any]:
        found: list[str] = []
        with contextlib.suppress(Exception):  # a shell has no place for what is wrong with a file
            found = [name for name in find(context, incomplete) if name.startswith(incomplete)]
        return [item(name) for name in found] or [item(incomplete, type="file")]

    return complete


def _experiments(context: Any, incomplete: str) -> Iterable[str]:
    from hil.experiments import shipped

    return [*shipped(), *_files(incomplete)]


def _datasheets(context: Any, incomplete: str) -> Iterable[str]:
    from firmware_specs.datasheet import shipped

    return [*shipped(), *_files(incomplete)]


def _racks(context: Any, incomplete: str) -> Iterable[str]:
    from firmware_specs.racks import shipped_racks

    return [*shipped_racks(), *_files(incomplete)]


def _instruments(context: Any, incomplete: str) -> Iterable[str]:
    from firmware_specs.registry import names

    return names("instruments")


def _exports(context: Any, incomplete: str) -> Iterable[str]:
    from firmware_specs.registry import names

    return names("exports")


def _kinds(context: Any, incomplete: str) -> Iterable[str]:
    from firmware_specs.registry import KINDS

    if context.info_name == "schema":
        from hil.schemas import KINDS as FILES

        return FILES
    return KINDS


def _devices(context: Any, incomplete: str) -> Iterable[str]:
    """Names in the bench file of `--bench`, else addresses as far as they are known."""
    bench = context.params.get("bench")
    if bench is not None:
        return _named_in(Path(bench))
    file, found, _ = incomplete.removeprefix("bench:").partition("#")
    if incomplete.startswith("bench:") and found:
        return [f"bench:{file}#{name}" for name in _named_in(Path(file))]
    if incomplete.startswith("emulator:"):
        return [f"emulator:{name}" for name in _datasheets(context, "")]
    if incomplete.startswith("rack:"):
        return [f"rack:{name}" for name in _racks(context, "")]
    if incomplete.startswith("serial:"):
        from serial.tools import list_ports

        return [f"serial:{port.device}" for port in list_ports.comports()]
    if incomplete.startswith("bench:"):
        return [f"bench:{name}#" for name in _files(file)]
    from firmware_specs.registry import names

    return [f"{scheme}:" for scheme in dict.fromkeys([*names("counterparts"), *names("transports")])]


def _named_in(bench: Path) -> Iterable[str]:
    import tomllib

    return list(tomllib.loads(bench.read_text("utf-8")).get("devices", {}))


def _files(incomplete: str) -> Iterable[str]:
    """TOML files beside what was written so far."""
    folder = Path(incomplete) if incomplete.endswith(("/", "\\")) else Path(incomplete).parent
    return sorted(str(path) for path in folder.glob("*.toml"))


FINDERS: dict[str, Callable[[Any, str], Iterable[str]]] = {
    "experiment": _experiments,
    "datasheet": _datasheets,
    "sheet": _datasheets,
    "device": _devices,
    "address": _devices,
    "addresses": _devices,
    "rack": _racks,
    "instrument": _instruments,
    "kind": _kinds,
    "to": _exports,
}
