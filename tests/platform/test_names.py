"""What Windows lacks, and what asks which platform this is, is named in the platform room and nowhere else."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent / "as_windows"))
from removed import MODULES, NAMES, OURS  # noqa: E402

sys.path.pop(0)
ROOM = ROOT / "firmware_specs" / "platform"
IMPORTING = ("import_module", "__import__", "find_spec")
ASKS = {("sys", "platform"), ("os", "name"), ("platform", "system")}
SUSPECTS = re.compile(rf"\b({'|'.join([*MODULES, *NAMES, *IMPORTING, 'sys', 'platform'])})\b")
"""A word of these is in every module that names what a platform lacks: most need not be parsed, which takes longest."""
CALLS = re.compile(r"\b(read_text|write_text|run|Popen|check_output|open|fdopen|NamedTemporaryFile|TemporaryFile)\s*\(")
"""Likewise of text in whatever encoding."""


def uses(text):
    """Lines and names of a module that the other platforms lack, or that ask for the platform."""
    for node in ast.walk(ast.parse(text)) if SUSPECTS.search(text) else ():
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((node.lineno, node.module) for _ in [0] if str(node.module).split(".")[0] in MODULES)
            yield from (
                (node.lineno, f"{node.module}.{alias.name}")
                for alias in node.names
                if alias.name in NAMES.get(str(node.module), ()) or (node.module, alias.name) in ASKS
            )
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = node.value.id
            if node.attr in NAMES.get(module, ()) or (module, node.attr) in ASKS - {("platform", "system")}:
                yield node.lineno, f"{module}.{node.attr}"
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in IMPORTING:
            yield from ((node.lineno, repr(a.value)) for a in node.args if getattr(a, "value", None) in MODULES)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr"):
            match node.args:
                case [ast.Name(id=module), ast.Constant(value=name), *_] if name in NAMES.get(module, ()):
                    yield node.lineno, f"{node.func.id}({module}, {name!r})"


def test_nothing_outside_the_room_names_what_a_platform_lacks():
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for package in sorted(OURS)
        for path in sorted((ROOT / package).rglob("*.py"))
        if ROOM not in path.parents
        for line, name in uses(path.read_text("utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "import fcntl",
        "from termios import tcgetattr",
        "import os\nos.getuid()",
        "from os import openpty",
        "import signal\nX = (signal.SIGINT, signal.SIGHUP)",
        "import os\nif hasattr(os, 'fork'): pass",
        "import sys\nif sys.platform == 'linux': pass",
        "import select\nselect.poll()",
        "importlib.import_module('termios')",
    ],
)
def test_the_search_finds_every_way_to_name_one(text):
    assert list(uses(text))


def test_the_room_names_what_it_is_there_for():
    assert list(uses((ROOM / "posix.py").read_text("utf-8")))


def unencoded(text):
    """Calls that read or write text in whatever encoding the platform has."""
    for node in ast.walk(ast.parse(text)) if CALLS.search(text) else ():
        if not isinstance(node, ast.Call) or any(k.arg in ("encoding", None) for k in node.keywords):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        on = getattr(getattr(node.func, "value", None), "id", "")
        modes = [a.value for a in (*node.args, *(k.value for k in node.keywords)) if isinstance(a, ast.Constant)]
        texts = {"read_text": 0, "write_text": 1}.get(name)
        if texts is not None and len(node.args) <= texts:
            yield node.lineno, name
        elif name in ("run", "Popen", "check_output") and any(k.arg == "text" for k in node.keywords):
            yield node.lineno, f"{on}.{name}"
        elif name in ("open", "fdopen", "NamedTemporaryFile", "TemporaryFile") and (
            any(isinstance(mode, str) and set(mode) <= set("rwax+t") for mode in modes)
            or (isinstance(node.func, ast.Name) and len(node.args) == 1)
        ):
            yield node.lineno, name


def test_text_is_read_and_written_as_utf_8():
    folders = [ROOT / name for name in (*sorted(OURS), "tools", "benchmarks")]
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sorted(path for folder in folders for path in folder.rglob("*.py"))
        for line, name in unencoded(path.read_text("utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "path.read_text()",
        "path.read_text(errors='replace')",
        "path.write_text(words)",
        "open(path)",
        "path.open('w')",
        "subprocess.run(line, text=True)",
        "tempfile.NamedTemporaryFile('w+')",
    ],
)
def test_the_search_finds_text_without_an_encoding(text):
    assert list(unencoded(text))
