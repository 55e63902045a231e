"""The reference has an entry for every public name, every command and option, and every key of every file."""

import ast
import re
from pathlib import Path

import pytest
import typer

from hil.cli import build_app, main
from hil.schemas import KINDS, schema
from tools.site import api, commands, files
from tools.site.pages import fitting

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def interface():
    return api.pages(ROOT)


def public_names():
    """Modules, classes, functions and methods without an underscore, found another way than the pages are made."""
    for package in api.PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if not any(re.match(r"_[a-z]", part) for part in path.relative_to(ROOT).parts):
                for node in ast.parse(path.read_text("utf-8")).body:
                    if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                        yield path, node.name


def test_every_public_name_has_its_entry(interface):
    text = "\n".join(interface.values())
    entries = set(re.findall(r"\{py:(?:class|function)\} (\w+)", text))
    missing = [f"{path.relative_to(ROOT)}: {name}" for path, name in public_names() if name not in entries]
    assert len(entries) > 1000 and not missing


def exported():
    """Names of every `__all__`, constants and types among them."""
    for package in api.PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text("utf-8")
            for node in ast.parse(text).body if "__all__" in text else ():
                match node:
                    case ast.Assign(targets=[ast.Name(id="__all__")]):
                        yield from ((path, name) for name in ast.literal_eval(node.value))


def test_every_exported_name_has_its_entry(interface):
    entries = set(re.findall(r"\{py:(?:class|function|data)\} (\w+)", "\n".join(interface.values())))
    names = list(exported())
    assert len(names) > 150
    missing = [f"{path.relative_to(ROOT)}: {name}" for path, name in names if name not in entries]
    assert not missing, "constants need a docstring below them"


def test_every_entry_says_something(interface):
    for name, page in interface.items():
        for found in re.finditer(r"\{py:(class|function|data)\} (\w+).*\n\n(.*)", page):
            assert found[3].strip(), f"{name}: {found[2]} has no words"


def test_every_key_of_every_file_has_its_row():
    for kind, page in files.pages().items():
        whole = schema(kind)
        for part in (whole, *whole.get("$defs", {}).values()):
            for key in part.get("properties", {}):
                rows = [line for line in page.splitlines() if line.startswith(f"| `{key}` |")]
                assert rows and all(row.rstrip(" |").rpartition("|")[2].strip() for row in rows), f"{kind}: {key}"
    assert files.pages().keys() == KINDS.keys()


@pytest.mark.parametrize(
    "key, unit", [("timeout_s", "s"), ("g_max_s", "S"), ("max_drive_a", "A"), ("read_v", "V"), ("rows", "")]
)
def test_units_follow_from_names(key, unit):
    assert files.unit(key) == unit


def test_every_command_and_option_has_its_row():
    page = commands.page()
    root = typer.main.get_command(build_app())
    for name, command in root.commands.items():
        assert f"## hil {name}\n" in page
        for leaf in (command, *getattr(command, "commands", {}).values()):
            for option in leaf.params:
                assert all(f"`{text}`" in page for text in option.opts if text.startswith("-")), (
                    f"{name}: {option.name}"
                )


def test_every_page_is_in_one_of_the_four_kinds_or_a_notebook():
    listed = {}
    for index in DOCS.rglob("index.md"):
        for block in re.findall(r"```\{toctree\}\n(.*?)```", index.read_text("utf-8"), re.DOTALL):
            for line in block.splitlines():
                if line and not line.startswith(":"):
                    for path in index.parent.glob(f"{line}.md"):
                        listed[path.resolve()] = listed.get(path.resolve(), 0) + 1
    pages = {path.resolve() for path in DOCS.rglob("*.md") if "generated" not in path.parts} - {DOCS / "index.md"}
    assert not pages - listed.keys(), "pages in no table of contents"
    assert not [path for path, times in listed.items() if times > 1], "pages in two"


def test_docstrings_in_googles_style_become_lists_and_no_other_markup():
    text = "Asks `*IDN?` of *everybody*.\n\nArgs:\n    name: Who, `<any>`,\n        in <words>.\n\n"
    text += "Raises:\n    ValueError: no."
    shown = api.markdown(text)
    assert "`*IDN?` of \\*everybody\\*" in shown
    assert (
        "**Args**" in shown and "- `name`: Who, `<any>`,\n  in \\<words\\>." in shown and "- `ValueError`: no." in shown
    )


def test_links_to_what_is_no_page_become_text_and_others_stay():
    page = DOCS / "how-to" / "bench.md"
    text = "[a](rack.md#x) [b](../../drivers/lock.py) [c](../decisions) [d](https://e.org) "
    text += "[e](../../firmware_specs/SCPI.md)"
    assert fitting(text, page, page, DOCS) == (
        "[a](rack.md#x) b [c](../decisions/index.md) [d](https://e.org) [e](../reference/generated/scpi.md)"
    )


def test_six_notebooks_each_draw_a_picture():
    books = [path for path in (DOCS / "notebooks").glob("*.md") if path.stem != "index"]
    assert len(books) >= 6
    for book in books:
        cells = re.findall(r"```\{code-cell\} ipython3\n(.*?)```", book.read_text("utf-8"), re.DOTALL)
        assert "plt.subplots" in "".join(cells)
        for cell in cells:
            ast.parse(cell)


def test_the_command_says_where_the_site_is(capsys):
    with pytest.raises(SystemExit):
        main(["docs"])
    assert "docs" in capsys.readouterr().out
