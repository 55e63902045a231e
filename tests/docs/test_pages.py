"""The pages say what is there: commands with their options, files and names in them, experiments, datasheets, TOML."""

import re
import tomllib
from pathlib import Path

import pytest
import typer
from pydantic import ValidationError

from firmware_specs.datasheet import Datasheet
from firmware_specs.labs import Lab
from firmware_specs.registry import KINDS
from hil.cli import build_app
from hil.conformance.suite import SCPI, SERIAL
from hil.counterparts.opening.bench_file import BenchFile, DeviceEntry, LimitsEntry
from hil.experiments import shipped
from hil.experiments.schema import Experiment
from hil.measuring.characterize.items import ITEMS
from hil.measuring.characterize.plan import Plan

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *(p for p in sorted((ROOT / "docs").rglob("*.md")) if "generated" not in p.parts)]
FOLDERS = ("hil", "drivers", "emulator", "firmware_specs", "tests", "docs", "benchmarks")
SHEETS = {path.stem for path in (ROOT / "firmware_specs" / "datasheets").glob("*.toml")}

EXPERIMENT_KEYS = {
    name: set(getattr(field.annotation, "model_fields", {}))
    | set(getattr(field.annotation, "__dataclass_fields__", {}))
    for name, field in Experiment.model_fields.items()
}
"""Keys of sections that an experiment calls as a datasheet does (`settle`)."""

CHECK_NAMES = {check.name for suite in (SERIAL, SCPI) for check in suite.checks}

each_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


def fenced(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def spans(page):
    """Inline code, outside fences."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE))


def commands(page):
    """Calls of hil, fenced and inline, without comments and prompts."""
    lines = [line for block in fenced(page, r"(?:[a-z]*)") for line in block.splitlines()]
    for line in lines + spans(page):
        call = line.partition(" #")[0].strip().removeprefix("$ ")
        if call.startswith("hil ") and not call.startswith("hil: "):
            yield call


def described():
    """Options of every command, by its words."""
    root = typer.main.get_command(build_app())
    found = {"": {option for parameter in root.params for option in parameter.opts} | {"--help"}}
    for name, command in root.commands.items():
        below = {f"{name} {n}": leaf for n, leaf in getattr(command, "commands", {}).items()}
        for words, leaf in {name: command, **below}.items():
            found[words] = {option for parameter in leaf.params for option in parameter.opts} | {"--help"}
    return found


@pytest.fixture(scope="module")
def known():
    return described()


@each_page
def test_every_command_and_option_on_a_page_exists(page, known):
    for call in commands(page):
        words = re.sub(r"--plugin[ =]\S+ ?", "", call).split()[1:]  # of `hil` itself, may stand anywhere
        if words[0] in known[""] or words[0].isupper():
            continue
        assert words[0] in known, call
        name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        options = {word.partition("=")[0] for word in words if re.match(r"-{1,2}[a-z]", word)}
        assert options <= known[name], f"{call}: {sorted(options - known[name])}"


def test_every_command_is_on_a_page(known):
    shown = {call.split()[1] for page in PAGES for call in commands(page)}
    assert {words.partition(" ")[0] for words in known if words} <= shown


def test_the_bench_page_has_every_key_of_a_bench_file():
    said = set(spans(ROOT / "docs" / "how-to" / "bench.md"))
    assert {*DeviceEntry.model_fields, *LimitsEntry.model_fields} <= said


def test_the_calibration_page_has_every_item_with_its_settings():
    rows = [
        line
        for line in (ROOT / "docs" / "how-to" / "calibration.md").read_text().splitlines()
        if line.startswith("| `")
    ]
    for item in ITEMS:
        (row,) = (r for r in rows if r.startswith(f"| `{item.NAME}` |"))
        assert set(item.model_fields) <= set(re.findall(r"`(\w+)`", row)), item.NAME


@each_page
def test_every_file_and_name_on_a_page_exists(page):
    for span in spans(page):
        path, _, name = span.partition(": ")
        if not re.fullmatch(r"[\w./*-]+", path) or path.startswith("/"):
            continue
        if path.split("/")[0] in FOLDERS and "/" in path:
            files = list(ROOT.glob(path.rstrip("/")))
        elif path.endswith(".py") and name:
            files = [file for folder in FOLDERS for file in (ROOT / folder).rglob(path)]
        else:
            continue
        assert files, f"{span}: no such file"
        for wanted in filter(None, name.split(", ")):
            assert any(wanted.partition("(")[0] in f.read_text() for f in files if f.is_file()), f"{span}: not in it"


@each_page
def test_every_datasheet_key_on_a_page_exists(page):
    sections = {name: field.annotation for name, field in Datasheet.model_fields.items()}
    for section, key in re.findall(r"`([a-z_]+)\.([a-z0-9_]+)(?= = |`)", page.read_text()):
        if f"{section}.{key}" in CHECK_NAMES:
            continue
        if section in sections and hasattr(sections[section], "model_fields"):
            known = sections[section].model_fields.keys() | EXPERIMENT_KEYS.get(section, set())
            assert key in known, f"{section}.{key}"


@each_page
def test_every_link_of_a_page_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


@each_page
def test_every_experiment_and_datasheet_on_a_page_is_shipped(page):
    text = page.read_text()
    for call in commands(page):
        for name in re.findall(r"^hil (?:train|gradcheck|study) ([a-z0-9][a-z0-9-]*)(?=\s|$)", call):
            assert name in shipped(), call
        for name in re.findall(r"^hil emulate ([a-z0-9][a-z0-9-]*)(?=\s|$)", call):
            assert name in SHEETS, call
    for name in re.findall(r"emulator:([a-z0-9-]+)(?=[?\s`\"])", text):
        assert name in SHEETS, name


@each_page
def test_every_toml_example_is_taken_by_what_reads_it(page):
    for block in fenced(page, "toml"):
        document, refusals = tomllib.loads(block), []
        for read in (read_bench, read_experiment, read_datasheet, read_plan, read_entry_points, Lab.model_validate):
            try:
                read(document)
                break
            except (ValidationError, ValueError) as error:
                refusals.append(f"{read.__name__}: {error}")
        else:
            pytest.fail(f"nothing takes\n{block}\n" + "\n".join(refusals))


def read_entry_points(document):
    """Of a package that brings things of its own."""
    (groups,) = [project["entry-points"] for project in [document.get("project", {})] if "entry-points" in project]
    if unknown := groups.keys() - {f"hil.{kind}" for kind in KINDS}:
        raise ValueError(f"no such groups: {unknown}")


def read_bench(document):
    """The table of a rack is completed with a shipped one."""
    rack = tomllib.loads((ROOT / "firmware_specs" / "racks" / "bench-16x16.toml").read_text())
    BenchFile.model_validate(
        {
            **document,
            "devices": {
                name: entry | ({"rack": merged(rack, entry["rack"])} if "rack" in entry else {})
                for name, entry in document.get("devices", {}).items()
            },
        }
    )


def merged(below, above):
    both = {key: merged(below[key], above[key]) for key in below.keys() & above.keys() if isinstance(below[key], dict)}
    return below | above | both


def read_experiment(document):
    """A fragment is completed with a shipped experiment."""
    base = tomllib.loads((ROOT / "hil" / "experiments" / "digits.toml").read_text())
    if not set(document) & set(base):
        raise ValueError("no table of an experiment")
    Experiment.model_validate(base | document)


def read_datasheet(document):
    """A fragment is completed with a shipped datasheet."""
    base = tomllib.loads((ROOT / "firmware_specs" / "datasheets" / "discrete-board.toml").read_text())
    if not all(isinstance(table, dict) for table in document.values()):
        raise ValueError("not tables")
    Datasheet.model_validate(base | {name: base.get(name, {}) | table for name, table in document.items()})


def read_plan(document):
    Plan.model_validate(document)
