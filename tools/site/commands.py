"""Every command with its options, from typer."""

from __future__ import annotations

from typing import Any

import typer

from hil.cli import build_app


def page() -> str:
    """The page of the command line."""
    root = typer.main.get_command(build_app())
    lines = ["# Commands", "", _plain(root.help or ""), "", *_table(root), ""]
    for name, command in sorted(root.commands.items()):
        lines += _section(f"hil {name}", command, 2)
        for below, leaf in sorted(getattr(command, "commands", {}).items()):
            lines += _section(f"hil {name} {below}", leaf, 3)
    return "\n".join(lines) + "\n"


def _section(name: str, command: Any, level: int) -> list[str]:
    words = " ".join(_metavar(one) for one in command.params if one.param_type_name == "argument")
    usage = f"{name} [OPTIONS] {words}".rstrip()
    help_text = "\n".join(_plain(line.strip()) for line in (command.help or "").splitlines())
    return [f"{'#' * level} {name}", "", "```text", usage, "```", "", help_text, "", *_table(command), ""]


def _table(command: Any) -> list[str]:
    rows = [_row(one) for one in command.params]
    return ["| | value | usual | |", "|---|---|---|---|", *rows] if rows else []


def _row(one: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*one.opts, *one.secondary_opts) if name.startswith("-"))
    name = names or f"`{_metavar(one)}`"
    of = getattr(one, "type", None)
    what = getattr(of, "name", "") if not getattr(one, "is_flag", False) else ""
    low, high = getattr(of, "min", None), getattr(of, "max", None)
    span = "" if low is None and high is None else f", {'' if low is None else low} .. {'' if high is None else high}"
    usual = (
        "required"
        if one.required
        else ""
        if one.default in (None, False, ()) or callable(one.default)
        else f"`{one.default}`"
    )
    return f"| {name} | {what}{span} | {usual} | {_cell(getattr(one, 'help', None) or '')} |"


def _metavar(one: Any) -> str:
    return str(one.metavar or one.name).upper().strip("{}[]")


def _cell(text: str) -> str:
    return " ".join(_plain(text).replace("|", "\\|").split())


def _plain(text: str) -> str:
    return text.replace("<", "\\<").replace("*", "\\*").replace("[", "\\[").replace("_", "\\_")
