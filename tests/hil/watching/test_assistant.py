"""`hil mcp` as an assistant meets it: over the protocol's own client."""

import asyncio
import json
import sys

import pytest

from hil.cli import main
from hil.watching import events

mcp = pytest.importorskip("mcp", reason="the extra [mcp] is not installed")
READS = {
    "list_runs", "show_run", "show_curve", "show_ledger", "list_datasheets", "show_datasheet", "show_devices",
}  # fmt: skip


@pytest.fixture
def ask(tmp_path):
    """`ask(tool, **arguments)`: the answer of the server, as text, and whether it is an error."""
    from hil.watching.assistant.acts import Acts
    from hil.watching.assistant.seen import Seen
    from hil.watching.assistant.server import server

    def make(tool, bench=None, measure=(), arm=(), **arguments):
        acts = Acts(tmp_path / "runs", bench, measure, arm) if measure or arm else None
        made = server(Seen(tmp_path / "runs", bench), acts)

        async def talk():
            async with mcp.Client(made) as client:
                if tool is None:
                    return (await client.list_tools()).tools
                return await client.call_tool(tool, arguments)

        return asyncio.run(talk())

    return make


def said(result):
    assert not result.is_error, result.content
    found = result.structured_content
    return found["result"] if set(found) == {"result"} else found


def refused(result):
    assert result.is_error
    return result.content[0].text


@pytest.fixture
def lab(tmp_path):
    path = tmp_path / "lab.toml"
    path.write_text(
        '[devices.chip]\naddress = "emulator:discrete-board?seed=1"\n[devices.gem]\naddress = "emulator:ecram"\n'
        '[devices.far]\naddress = "serial:/dev/ttyACM0"\n'
    )
    return path


def test_it_only_reads_unless_a_device_was_named(ask, scene):
    scene()
    tools = {tool.name: tool.annotations for tool in ask(None)}
    assert set(tools) == READS and all(annotations.read_only_hint for annotations in tools.values())


def test_runs_their_curves_and_ledgers_are_told(ask, scene, characterized, studied):
    scene(title="overnight").steps(1000).counted().tripped()
    things = {thing["kind"]: thing for thing in said(ask("list_runs"))}
    assert things["characterization"]["title"] == "acme xbar 7" and things["study"]["state"] == "ended"
    run = things["run"]
    assert (run["title"], run["state"], run["step"]) == ("overnight", "ended", 1000)
    whole = said(ask("show_run", id=run["id"]))
    assert whole["fault"]["text"].startswith("tripped: OVER_TEMPERATURE") and whole["device"]["outputs"] is False
    curve = said(ask("show_curve", id=run["id"], quantity="loss"))
    assert 50 <= len(curve) <= 100 and curve[0][0] == 1 and curve[0][1] > curve[-1][1]
    assert said(ask("show_ledger", id=run["id"]))["counts"]["adc"] == 99999
    assert "accuracy" in refused(ask("show_curve", id=run["id"], quantity="nothing"))


def test_datasheets_and_devices_are_told_and_nothing_beside_them(ask, scene, lab, tmp_path):
    scene()
    assert "ecram" in said(ask("list_datasheets"))
    assert said(ask("show_datasheet", name="ecram"))["cells"]["g_max_s"] > 0
    assert [line.split()[0] for line in said(ask("show_devices", bench=lab))] == ["chip", "gem", "far"]
    (tmp_path / "secret.toml").write_text("secret = 1")
    for tool, arguments in (
        ("show_datasheet", {"name": str(tmp_path / "secret.toml")}),
        ("show_run", {"id": "../secret"}),
        ("show_ledger", {"id": str(tmp_path)}),
    ):
        assert "secret = 1" not in refused(ask(tool, **arguments))


def test_only_named_devices_are_measured_and_every_act_is_in_the_log(ask, scene, lab, tmp_path):
    scene()
    found = said(ask("read_cells", bench=lab, measure=["chip"], device="chip"))
    assert any(figure["name"].startswith("found.level") for figure in found["figures"]) or found["skipped"]
    assert "--measure gem" in refused(ask("read_cells", bench=lab, measure=["chip"], device="gem"))
    assert "--arm chip" in refused(ask("characterize", bench=lab, measure=["chip"], device="chip", items=["health"]))
    measured = said(ask("characterize", bench=lab, arm=["chip"], device="chip", items=["transfer"], size=4))
    assert any(figure["name"].startswith("transfer.") for figure in measured["figures"])
    assert (tmp_path / "runs" / "assistant" / measured["folder"] / "report.html").is_file()
    acts = [(event["kind"], event["act"], event["device"]) for event in events.read(tmp_path / "runs" / "assistant")]
    assert acts == [
        *(("act", "read_cells", "chip"), ("done", "read_cells", "chip")),
        *(("act", "read_cells", "gem"), ("refused", "read_cells", "gem")),
        *(("act", "characterize", "chip"), ("refused", "characterize", "chip")),
        *(("act", "characterize", "chip"), ("done", "characterize", "chip")),
    ]


def test_a_device_somebody_else_has_stays_theirs(ask, scene, tmp_path, monkeypatch):
    from drivers.errors import Busy

    scene()
    lab = tmp_path / "lab.toml"
    lab.write_text('[devices.chip]\naddress = "serial:/dev/ttyACM0"\n')
    from hil.watching.assistant import acts

    def taken(address, visa):
        raise Busy("opening it", owner="process 7 of ada on bench since 9:00", device=address)

    monkeypatch.setattr(acts, "open_crossbar", taken)
    assert "process 7 of ada" in refused(ask("read_cells", bench=lab, measure=["chip"], device="chip"))
    *_, last = events.read(tmp_path / "runs" / "assistant")
    assert (last["kind"], last["error"]) == ("fault", "Busy")


def test_the_command_speaks_the_protocol_and_nothing_else_on_its_output(scene, tmp_path):
    scene(title="over a pipe").steps(3)
    from mcp import StdioServerParameters, stdio_client

    process = StdioServerParameters(command=sys.executable, args=["-m", "hil", "mcp", str(tmp_path / "runs")])

    async def talk():
        async with mcp.Client(stdio_client(process)) as client:
            return await client.call_tool("list_runs", {})

    (run,) = said(asyncio.run(talk()))
    assert run["title"] == "over a pipe" and json.dumps(run)


@pytest.mark.parametrize(
    ("more", "why"),
    [(["--arm", "chip"], "bench file"), (["--bench", "lab.toml", "--measure", "chop"], "no device of lab.toml")],
)
def test_a_device_is_named_in_a_bench_file(more, why, lab, scene, tmp_path, monkeypatch, capsys):
    scene()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["mcp", "runs", *more])
    assert ended.value.code == 2 and why in " ".join(capsys.readouterr().err.replace("│", " ").split())
