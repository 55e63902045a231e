"""Every command takes a device the same ways, and opens it with its whole bench entry."""

import inspect
import threading

import pytest
import typer

from emulator.chip import Chip
from emulator.device import Device
from emulator.serve import Board, Doors
from firmware_specs.codes import State, Trip
from firmware_specs.datasheet import load
from hil import commands
from hil.cli import main
from hil.commands import calibrate, characterize, clear, conform, devices, gradcheck, study, train, twin
from hil.counterparts.opening.bench import open_bench
from hil.counterparts.opening.wire import open_crossbar, open_wire

OTHER = "datasheet = 'mixed-8bit'"
TAKE_A_DEVICE = [calibrate, characterize, clear, conform, devices, gradcheck, study, train, twin]


@pytest.fixture(autouse=True)
def locks_of_this_test(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSBAR_HIL_LOCKS", str(tmp_path / "locks"))


@pytest.fixture
def board():
    board = Board(Device(Chip(load("discrete-board"), 1)), Doors(tcp=0))
    thread = threading.Thread(target=board.run, daemon=True)
    thread.start()
    yield board
    board.stop()
    thread.join(30)


def bench_file(tmp_path, board, more=""):
    path = tmp_path / "lab.toml"
    path.write_text(f"[devices.left]\naddress = '{board.addresses[0]}'\n{more}\n")
    return path


def hil(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code or 0


def tripped(board):
    """An emergency stop that wants a person."""
    board.device.outputs.state, board.device.outputs.trip_cause = State.TRIPPED, Trip.EMERGENCY_STOP
    return board.device.outputs


@pytest.mark.parametrize("command", TAKE_A_DEVICE, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_command_has_the_same_three_options(command):
    options = {}
    for name, parameter in inspect.signature(command.command, eval_str=True).parameters.items():
        info = parameter.annotation.__metadata__[0]
        options |= dict.fromkeys(getattr(info, "param_decls", None) or [f"--{name.replace('_', '-')}"], info)
    assert {"--device", "--bench", "--visa-library"} <= {name for name in options if name.startswith("--")}


def test_a_name_in_a_bench_file_is_the_address_of_it(tmp_path):
    assert commands.named("left", tmp_path / "lab.toml") == f"bench:{tmp_path / 'lab.toml'}#left"
    assert commands.named("serial:/dev/x", None) == "serial:/dev/x"
    assert commands.named(None, None) is None
    with pytest.raises(typer.BadParameter, match="which device of"):
        commands.named(None, tmp_path / "lab.toml")
    with pytest.raises(typer.BadParameter, match="which device"):
        commands.needed(None, None)


@pytest.mark.parametrize("way", ["bench address", "bench and name", "positional"])
def test_emergency_stop_of_another_device_is_not_cleared(tmp_path, board, capsys, way):
    path, outputs = bench_file(tmp_path, board, "serial = 'another'"), tripped(board)
    named = {
        "bench address": ["--device", f"bench:{path}#left"],
        "bench and name": ["--bench", path, "--device", "left"],
        "positional": [f"bench:{path}#left"],
    }[way]
    assert hil("clear", *named) == 3
    assert "expects another" in capsys.readouterr().err
    assert outputs.state is State.TRIPPED


@pytest.mark.parametrize("serial", ["", "serial = 'seed-1'"])
def test_emergency_stop_of_the_device_that_was_meant_is_cleared(tmp_path, board, capsys, serial):
    path, outputs = bench_file(tmp_path, board, serial), tripped(board)
    assert hil("clear", "--bench", path, "--device", "left") == 0
    assert "SAFE" in capsys.readouterr().out and outputs.state is State.SAFE


def test_device_that_is_not_its_datasheet_is_left_alone_by_every_opening(tmp_path, board):
    address = f"bench:{bench_file(tmp_path, board, OTHER)}#left"
    outputs = tripped(board)
    for opening in (open_crossbar, open_bench, lambda a: open_wire(a).__enter__()):
        with pytest.raises(Exception, match="not what its datasheet"):
            opening(address)
    assert outputs.state is State.TRIPPED


def test_clear_wants_the_device_named_once(tmp_path, board, capsys):
    assert hil("clear", board.addresses[0], "--device", "x") == 2
    assert "once" in capsys.readouterr().err
    assert hil("clear") == 2
    assert hil("clear", "emulator:ideal") == 2
    assert "no trip to clear" in capsys.readouterr().err


def test_listing_looks_at_the_one_that_was_named(tmp_path, board, capsys):
    path = bench_file(tmp_path, board)
    assert hil("devices", "--bench", path, "--device", "left") == 0
    assert f"{board.addresses[0]}\tfree" in capsys.readouterr().out
    assert hil("devices", f"bench:{path}#left") == 0
    assert f"{board.addresses[0]}\tfree" in capsys.readouterr().out


def test_conformance_takes_a_bench_entry(tmp_path, board, capsys):
    path = bench_file(tmp_path, board, "serial = 'seed-1'")
    assert hil("conform", "--bench", path, "--device", "left", "--only", "identity") in (0, 1)
    path = bench_file(tmp_path, board, "serial = 'another'")
    assert hil("conform", "--device", f"bench:{path}#left", "--only", "identity") == 3
    assert "expects another" in capsys.readouterr().err


def test_named_library_is_the_one_that_is_opened(tmp_path, capsys):
    for command in (["clear"], ["conform"], ["train", "digits"], ["gradcheck", "digits-three-dense"]):
        code = hil(*command, "--device", "visa:TCPIP::127.0.0.1::1::SOCKET", "--visa-library", "/no/such/library.so")
        assert code == 3
        assert "library" in capsys.readouterr().err.lower()
