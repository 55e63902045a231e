"""The workflow files name what is there, and say that they have not been run; more cannot be tried of them here."""

import re
from pathlib import Path

import pytest
import typer

from hil.cli import build_app

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_every_target_command_and_path_exists(file):
    text = file.read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    commands = typer.main.get_command(build_app()).commands
    matrix = [word for line in re.findall(r"target: \[(.*)\]", text) for word in line.split(", ")]
    assert {*re.findall(r"\bmake ([a-z-]+)", text), *matrix} <= targets
    assert set(re.findall(r"- run: hil ([a-z]+)", text)) <= commands.keys()
    for path in re.findall(r"(?<=[ (])(?:tests|\.ci|docs|tools)/[\w./-]+", text):
        assert (ROOT / path.rstrip(".)")).exists(), path


def test_all_three_systems_and_the_weekly_jobs_are_there():
    text = "".join(file.read_text("utf-8") for file in FILES)
    assert all(name in text for name in ("ubuntu-latest", "macos-latest", "windows-latest", "cron:"))
    assert all(name in text for name in ("make fresh", "test-lowest", "test-newest"))
