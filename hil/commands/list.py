"""`hil list [KIND]`."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    kind: Annotated[str | None, typer.Argument(help="Kind of thing (data, losses, ...); all when left out.")] = None,
) -> None:
    """Shows what can be chosen by name, one line each, and which package brings it."""
    from firmware_specs.refusals import close
    from firmware_specs.registry import KINDS, entries

    if kind is not None and kind not in KINDS:
        raise typer.BadParameter(f"{kind!r} is no kind of thing; {close(kind, KINDS)}")
    for name in KINDS if kind is None else (kind,):
        print(f"{name}: {KINDS[name].contract}")
        found = entries(name)
        width = max((len(entry.name) for entry in found), default=0)
        for entry in found:
            print(f"  {entry.name:{width}}  {entry.summary}  [{entry.origin}]")
        if not found:
            print("  nothing")
