"""What strangers wrote reaches the terminal, the log and the error stream as text that is only read."""

import io

import pytest

from drivers.errors import Busy, DeviceFault, LinkLost, ProtocolViolation
from emulator.journal import Event
from hil import commands
from hil.cli import main
from hil.terminal import Terminal

NASTY = "\x1b[2J\x1b]0;title\x07 [/x] [bold]all is well[/bold] :smile: \u202eback\r\nhil: done"
SIGNS = ("\x1b", "\x07", "\r", "\u202e")


def harmless(text):
    return not any(sign in text for sign in SIGNS)


@pytest.mark.parametrize("error", [
    LinkLost(NASTY, device=NASTY, todo=NASTY),
    ProtocolViolation(NASTY, last=NASTY.encode()),
    DeviceFault(1, NASTY, asked=NASTY),
    Busy("in use", owner=NASTY),
], ids=lambda error: type(error).__name__)  # fmt: skip
def test_errors_quote_a_device_in_one_printable_line(error):
    assert harmless(str(error)) and "\n" not in str(error)
    assert "[bold]all is well[/bold]" in str(error) or "last bytes" in str(error)


def test_complaint_quotes_files_and_notes_harmlessly(capsys):
    error = ValueError(f"lab.toml: unknown key {NASTY}")
    error.add_note(NASTY)
    commands.complain(error)
    said = capsys.readouterr().err
    assert harmless(said) and "[/x]" in said


def test_wrong_usage_quotes_a_file_harmlessly(tmp_path, capsys):
    """Names of devices in somebody's bench file."""
    (tmp_path / "lab.toml").write_text('[devices."\\u001b]0;x\\u0007\\u202e"]\naddress = "serial:/dev/x"\n')
    with pytest.raises(SystemExit) as ended:
        main(["mcp", str(tmp_path), "--bench", str(tmp_path / "lab.toml"), "--measure", "zzz"])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "no device of" in said and harmless(said)


def test_console_reads_no_markup_and_obeys_no_escape():
    out = io.StringIO()
    console = Terminal(file=out)
    console.print(NASTY, soft_wrap=True)
    console.print(f"title {NASTY}", highlight=False, soft_wrap=True)
    assert harmless(out.getvalue())
    assert "[bold]all is well[/bold] :smile:" in out.getvalue()


def test_log_of_a_virtual_device_shows_what_clients_call_themselves():
    line = str(Event(1.0, "link", "tcp", NASTY, {}))
    assert harmless(line) and "\n" not in line


def test_title_of_an_experiment_with_markup_does_not_end_the_run(tmp_path, capsys):
    path = tmp_path / "mine.toml"
    path.write_text("[run]\nepochs = 'many'\n# \x1b[2J\n")
    with pytest.raises(SystemExit) as ended:
        main(["train", str(path), "--set", "title=\x1b[2J[/x]", "--run-dir", str(tmp_path / "run")])
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert harmless(captured.out + captured.err)


def test_said_text_is_printable(capsys):
    commands.say(NASTY)
    commands.say(NASTY, err=True)
    captured = capsys.readouterr()
    assert harmless(captured.out.replace("\n", "")) and harmless(captured.err.replace("\n", ""))
