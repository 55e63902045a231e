"""The house: rooms as the page on architecture has them, and files that do not know each other in a circle."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FACES = {"__init__.py", "__main__.py", "cli.py", "completion.py", "environment.py", "outputs.py", "terminal.py"}
"""Of the package and of its command line."""
PACKAGES = ("hil", "drivers", "emulator", "firmware_specs")


def modules():
    """Every module by its name."""
    found = {}
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = file
    return found


def at_import(tree):
    """Statements that run when a module is imported, those for type checkers with them; not what functions do."""
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop()
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            waiting += ast.iter_child_nodes(node)


def arrows(files):
    """Module -> modules that it imports."""
    found = {name: set() for name in files}
    for name, file in files.items():
        for node in at_import(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found[name] |= {alias.name for alias in node.names} & files.keys()
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    found[name] |= {whole if whole in files else node.module} & files.keys()
        found[name].discard(name)
    return found


def circles(graph):
    """Modules that no order of imports can sort: what is left when all leaves are taken away, again and again."""
    left = {name: set(others) for name, others in graph.items()}
    while leaves := [name for name, others in left.items() if not others & left.keys()]:
        for name in leaves:
            del left[name]
    while roots := [name for name in left if not any(name in others for others in left.values())]:
        for name in roots:
            del left[name]
    return {name: sorted(others & left.keys()) for name, others in left.items()}


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}, "e": set()}) == {"b": ["c"], "c": ["b"]}


def test_no_two_files_know_each_other_in_a_circle():
    assert circles(arrows(modules())) == {}


def test_there_are_at_most_twelve_rooms_and_the_page_has_each_of_them():
    rooms = sorted(p.name for p in (ROOT / "hil").iterdir() if (p / "__init__.py").is_file())
    loose = {p.name for p in (ROOT / "hil").glob("*.py")}
    assert loose <= FACES, loose
    assert len(rooms) <= 12, rooms
    drawn = re.findall(
        r"^\| `hil/(\w+)/` \|", (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(drawn) == rooms
