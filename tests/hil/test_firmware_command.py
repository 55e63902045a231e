"""`hil firmware new`: a folder that builds, and whose board conforms at once; what cannot be is refused in words."""

import json
import subprocess
import tomllib

import jsonschema
import pytest
from typer.testing import CliRunner

from firmware_specs.datasheet import load
from firmware_specs.firmware import board
from hil.cli import build_app
from hil.conformance.suite import SERIAL
from hil.counterparts.opening.wire import open_wire


def hil(*arguments):
    return CliRunner().invoke(build_app(), ["firmware", *map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("new") / "myboard"
    sheet = folder.parent / "mine.toml"
    sheet.write_text((board.FOLDER / "board.toml").read_text().replace("reference-board", "my-board"))
    made = hil("new", folder, "--datasheet", sheet)
    assert made.exit_code == 0 and f"make -C {folder}" in made.output, made.output
    return folder


def test_a_new_board_builds_and_answers_with_the_numbers_of_its_datasheet(folder, c_boards):
    program = c_boards.make(name="myboard", sources=folder) / "board"
    with c_boards.running(program, "--tcp", "0") as address, open_wire(address) as wire:
        result = SERIAL.run(wire, SERIAL.select(["identity", "framing", "cells"]))
    assert result.conforms and "my-board" in result.identity


def test_an_editor_finds_the_schema_of_its_datasheet(folder):
    directive, _, rest = (folder / "board.toml").read_text("utf-8").partition("\n")
    schema = json.loads((folder / directive.removeprefix("#:schema ")).read_text("utf-8"))
    jsonschema.validate(tomllib.loads(rest), schema)
    assert "#:schema" not in rest


def test_the_skeletons_of_a_real_board_are_sound_c(folder, c_boards):
    c_boards.make("example", name="example", sources=folder)


def test_numbers_that_were_edited_are_made_into_a_header_again(folder):
    text = (folder / "board.toml").read_text()
    (folder / "board.toml").write_text(text.replace("max_pulse_v = 3.3", "max_pulse_v = 3.1"))
    assert hil("board", folder).exit_code == 0
    assert "3.1, " in (folder / "board.h").read_text()


def test_a_folder_in_use_or_a_device_the_firmware_is_not_are_refused(tmp_path, folder):
    assert "not empty" in hil("new", folder).output
    for datasheet, why in (("resistive-board", "resistive"), ("no-such", "shipped")):
        refused = hil("new", tmp_path / "x", "--datasheet", datasheet)
        assert refused.exit_code == 2 and why in refused.output
    assert not (tmp_path / "x").exists()


@pytest.mark.long
def test_a_short_mutation_campaign_finds_nothing(c_boards):
    program = c_boards.make("fuzz", "CAREFUL=-O1") / "mutate"
    done = subprocess.run([program, "30000", "7"], capture_output=True, text=True)
    assert done.returncode == 0 and "no finding" in done.stdout, done.stderr[-2000:]


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_million_mutated_inputs_find_nothing(c_boards, seed):
    program = c_boards.make("fuzz", "CAREFUL=-O1") / "mutate"
    done = subprocess.run([program, "1000000", str(seed)], capture_output=True, text=True)
    assert done.returncode == 0 and "no finding" in done.stdout, done.stderr[-2000:]


def test_every_shipped_datasheet_gives_a_header_or_a_reason():
    from firmware_specs.datasheet import shipped

    for name in shipped():
        try:
            text = board.text(load(name), name)
        except board.BoardError as error:
            assert name != "discrete-board" and str(error).startswith("no board.h")
        else:
            assert "#define BOARD_LIMITS" in text


def test_an_array_too_large_for_software_is_refused_with_what_to_make_smaller():
    sheet = load("mixed-8bit")  # 7 couplings of 32,769 x 32,768 cells: nothing that could be linked
    with pytest.raises(board.BoardError, match=r"271 GB for 7 couplings.*max_rows, max_columns smaller, in \[fabric\]"):
        board.text(sheet, "x")
    smaller = {"max_layers": 3, "max_rows": 257, "max_columns": 256}
    assert "#define BOARD_MAX_ROWS 257" in board.text(
        sheet.model_copy(update={"fabric": sheet.fabric.model_copy(update=smaller)}), "x"
    )
