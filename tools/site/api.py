"""One page a folder of code: every public class, function, method and documented constant, with its docstring.

The code is read, not imported: nothing has to be installed, and no docstring is taken for markup it was not written in.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = ("hil", "drivers", "emulator", "firmware_specs", "pyvisa_hil")
SECTIONS = re.compile(r"^(Args|Attributes|Returns|Raises|Yields|Example|Note):\s*$")
ENTRY = re.compile(r"^    ([\w*., ]+): (.*)$")
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass
class Thing:
    """Something public.

    Attributes:
        kind: Directive of Sphinx' Python domain: function, class, method, data.
        name: Its own name.
        signature: Name and arguments.
        text: Docstring.
        below: Methods of a class.
    """

    kind: str
    name: str
    signature: str
    text: str
    below: list[Thing] = field(default_factory=list)


@dataclass
class Module:
    """A module with what is public in it."""

    name: str
    text: str
    things: list[Thing]


def modules(root: Path) -> Iterator[Module]:
    """All modules with a name that is public, in order."""
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if not any(part.startswith("_") for part in parts if part != "__init__"):
                tree = ast.parse(path.read_text("utf-8"))
                things = [*_constants(tree.body), *_public(tree.body, "function")]
                yield Module(name, ast.get_docstring(tree) or "", things)


def pages(root: Path) -> dict[str, str]:
    """Text of every page by its name: a page a folder."""
    found: dict[str, list[Module]] = {}
    for module in modules(root):
        folder = module.name if (root / module.name.replace(".", "/")).is_dir() else module.name.rpartition(".")[0]
        found.setdefault(folder, []).append(module)
    return {folder: _page(folder, inside) for folder, inside in found.items()}


def _constants(body: list[ast.stmt]) -> Iterator[Thing]:
    """What is assigned once and has words below it."""
    for node, after in itertools.pairwise(body):
        match node, after:
            case (
                ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ) if not name.startswith("_"):
                yield Thing("data", name, name, inspect.cleandoc(text))


def _public(body: list[ast.stmt], function: str) -> Iterator[Thing]:
    for node in body:
        if not isinstance(node, Definition) or node.name.startswith("_"):
            continue
        if any(ast.unparse(one).rpartition(".")[2] in ("overload", "setter") for one in node.decorator_list):
            continue
        text = ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef):
            yield Thing("class", node.name, _class(node), text, list(_public(node.body, "method")))
        else:
            yield Thing(function, node.name, f"{node.name}({_arguments(node)}){_returns(node)}", text)


def _class(node: ast.ClassDef) -> str:
    for one in node.body:
        if isinstance(one, ast.FunctionDef) and one.name == "__init__":
            return f"{node.name}({_arguments(one)})"
    return node.name


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    given = ast.unparse(node.args)
    return re.sub(r"^(self|cls)(, |$)", "", given)


def _returns(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return "" if node.returns is None else f" -> {ast.unparse(node.returns)}"


def _page(folder: str, inside: list[Module]) -> str:
    lines = [f"# {folder}", ""]
    for module in inside:
        if module.name != folder:
            lines += [f"## {module.name}", ""]
        lines += [f"```{{py:module}} {module.name}", "```", "", markdown(module.text), ""]
        for thing in module.things:
            lines += [*_directive(thing, 5), ""]
    return "\n".join(lines).rstrip() + "\n"


def _directive(thing: Thing, fence: int) -> Iterator[str]:
    marks = "`" * fence
    yield f"{marks}{{py:{thing.kind}}} {' '.join(thing.signature.split())}"
    yield ""
    yield markdown(thing.text)
    yield ""
    for below in thing.below:
        yield from _directive(below, fence - 1)
        yield ""
    yield marks


def markdown(text: str) -> str:
    """A docstring in Google's style as Markdown: sections become lists; the only markup is code in backticks."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        if found := SECTIONS.match(line):
            lines += ["", f"**{found[1]}**", ""]
            inside = True
        elif inside and (entry := ENTRY.match(line)):
            lines.append(f"- `{entry[1]}`: {_plain(entry[2])}")
        elif inside and line.startswith("    "):
            lines.append(f"  {_plain(line.strip())}")
        else:
            inside = inside and not line
            lines.append(_plain(line.strip()) if line.startswith(" ") else _plain(line))
    return "\n".join(lines)


def _plain(line: str) -> str:
    """Marks of Markdown outside of code are shown as they are."""
    parts = line.split("`")
    whole = len(parts) % 2
    shown = [re.sub(r"([<>*_\[\]#|\\{}$])", r"\\\1", part) if i % 2 == 0 else part for i, part in enumerate(parts)]
    text = "`".join(shown) if whole else re.sub(r"([<>*_\[\]#|\\{}`$])", r"\\\1", line)
    return re.sub(r"^([-+=]+|\d+[.)])(\s|$)", r"\\\1\2", text)
