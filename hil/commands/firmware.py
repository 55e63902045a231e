"""`hil firmware`: the reference firmware in C as the beginning of a board's own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from hil.commands import Overwrite, group, say, writable

app = group("The reference firmware in C: a folder to begin a board with.")
PARTS = ("core", "optional", "chip", "ports", "example", "Makefile", "README.md")


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make.")],
    datasheet: Annotated[
        str | None, typer.Option(help="The board's numbers: shipped name or TOML file; a small board when left out.")
    ] = None,
) -> None:
    """Copies the firmware into a new folder, with the numbers of a datasheet; `make` there builds it as a process."""
    from firmware_specs.firmware import board
    from hil.schemas import text_of

    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise typer.BadParameter(f"{folder} is there and not empty: choose another folder", param_hint="DIR")
    header, toml = _numbers(datasheet)
    folder.mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        source = board.FOLDER / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        else:
            shutil.copyfile(source, folder / name)
    schema = folder / "datasheet.schema.json"
    (folder / "board.toml").write_text(_pointing_at(schema.name, toml), "utf-8")
    schema.write_text(text_of("datasheet"), "utf-8")
    _write(folder / "board.h", header)
    say(f"{folder}: next, `make -C {folder}`, then `{folder}/build/board`, and `hil conform --device` with the")
    say("address that it prints. Without a C compiler: pip install 'crossbar-hil[firmware]', and make with")
    say('CC="python -m ziglang cc".')


@app.command("board")
def renew(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `hil firmware new` made.")],
    overwrite: Overwrite = False,
) -> None:
    """Makes a folder's board.h anew from its board.toml."""
    header, _ = _numbers(str(folder / "board.toml"))
    writable(folder / "board.h", overwrite=overwrite)
    _write(folder / "board.h", header)
    say(f"{folder / 'board.h'} is made anew")


def _pointing_at(schema: str, toml: str) -> str:
    """The datasheet with the line by which editors find its schema, which was another where it came from."""
    first, _, rest = toml.partition("\n")
    return f"#:schema ./{schema}\n" + (rest if first.startswith("#:schema") else toml)


def _write(path: Path, header: str) -> None:
    from hil.outputs import write_signed

    write_signed(path, header, comment="/*", end=" */")


def _numbers(datasheet: str | None) -> tuple[str, str]:
    """board.h and board.toml of a datasheet."""
    from firmware_specs.datasheet import DatasheetError, load
    from firmware_specs.datasheet.load import text_of
    from firmware_specs.firmware import board

    chosen = datasheet or str(board.FOLDER / "board.toml")
    try:
        return board.text(load(chosen), "board.toml"), text_of(chosen)
    except (DatasheetError, board.BoardError) as error:
        raise typer.BadParameter(str(error), param_hint="--datasheet" if datasheet else "board.toml") from error
