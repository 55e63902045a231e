"""What the page's server answers, to whom, and that it changes nothing."""

import resource
import socket
import threading
import time

import pytest

pytest.importorskip("starlette", reason="the extra [live] is not installed")

from starlette.routing import Route
from starlette.testclient import TestClient

from hil.cli import main
from hil.watching import events, thin, view
from hil.watching.live.server import application, local
from hil.watching.thin import Thin
from hil.watching.view import RunView

METHODS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "MOVE")


@pytest.fixture
def client(tmp_path):
    (tmp_path / "runs").mkdir(exist_ok=True)

    def make(host="127.0.0.1", token=None, base="http://127.0.0.1"):
        return TestClient(application(tmp_path / "runs", host, token), base_url=base)

    return make


def only(client):
    (thing,) = client.get("/api/things").json()["things"]
    return client.get(f"/api/things/{thing['id']}").json()


def content_of(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_no_route_takes_anything_but_get_and_none_changes_a_file(client, scene, characterized, studied, tmp_path):
    scene().steps(20).counted().picture().device().running()
    app = application(tmp_path / "runs")
    routes = [route for route in app.routes if isinstance(route, Route)]
    assert len(routes) == len(app.routes) and all(route.methods == {"GET", "HEAD"} for route in routes)
    before, web = content_of(tmp_path), client()
    names = [thing["id"] for thing in web.get("/api/things").json()["things"]]
    assert len(names) == 3
    for route in routes:
        paths = [route.path.replace("{name}", name) for name in (*names, "live.js")]
        for path in dict.fromkeys(paths):
            assert web.get(path).status_code in (200, 404)
            for method in METHODS:
                assert web.request(method, path, content=b"x").status_code == 405
    assert content_of(tmp_path) == before


def test_a_run_is_shown_as_it_is(client, scene):
    run = scene(title="overnight").steps(30).counted().device().running()
    found = only(client())
    assert (found["state"], found["title"], found["step"], found["steps"]) == ("running", "overnight", 30, 100)
    assert found["device"]["outputs"] is True and found["eta_s"] >= 0
    assert ["pulses up", "17"] in found["ledger"]["done"]
    run.close()
    run._held = None
    run.log = events.EventLog(run.folder)
    time.sleep(view.FRESH_S)
    assert only(client())["state"] == "lost"
    run.tripped()
    found = only(client())
    assert found["state"] == "ended" and "OVER_TEMPERATURE" in found["fault"]["text"]


NAMES = ("../../etc/passwd", "live.html", "..%2f..%2fsetup", "uPlot.min.css/../../server.py", "%00")


@pytest.mark.parametrize("name", NAMES)
def test_only_the_files_of_the_page_are_given(client, name):
    assert client().get(f"/static/{name}").status_code in (404, 400)


def test_names_of_things_lead_nowhere_else(client, scene, tmp_path):
    scene().steps(2)
    secret = tmp_path / "secret"
    secret.mkdir()
    (tmp_path / "runs" / "link").symlink_to(secret, target_is_directory=True)
    web = client()
    assert len(web.get("/api/things").json()["things"]) == 1
    for name in ("..", "%2e%2e", "secret", "../secret", "0" * 12):
        assert web.get(f"/api/things/{name}").status_code == 404


def test_a_page_under_another_name_is_refused(client, scene):
    scene().steps(2)
    assert client(base="http://evil.example").get("/api/things").status_code == 421
    assert client(base="http://localhost").get("/api/things").status_code == 200


def test_elsewhere_every_request_needs_the_token(client, scene):
    scene().steps(2)
    web = client("0.0.0.0", "s3cret", "http://lab.example")
    for path in ("/", "/api/things", "/static/live.js", "/api/things?token=wrong", "/?token="):
        assert web.get(path).status_code == 403
    assert web.get("/?token=s3cret").status_code == 200
    assert web.get("/api/things").status_code == 200  # the cookie
    assert "s3cret" not in web.get("/").text


OURS = ("127.0.0.1", "::1", "localhost", "127.9.9.9")
OTHERS = ("0.0.0.0", "10.0.0.1", "lab", "::")


@pytest.mark.parametrize("host", [*OURS, *OTHERS])
def test_what_is_of_this_computer_alone(host):
    assert local(host) is (host in OURS)


FILES = ("events-000001.jsonl", "ledger.bin", "ledger.json", "picture.json", "provenance.json")
CONTENTS = (b"", b"\xff" * 700, b"[" * 200_000, b'{"kind":"step","t":1,"loss":"<script>"}\n')


def test_damaged_files_are_said_or_left_out_and_hurt_nothing_else(client, scene):
    scene("sound").steps(3)
    for file, name in enumerate(FILES):
        for kind, content in enumerate(CONTENTS):
            run = scene(f"{file} {kind}").steps(3).counted().picture()
            (run.folder / name).write_bytes(content)
    web = client()
    things = web.get("/api/things").json()["things"]
    assert len(things) == 1 + len(FILES) * len(CONTENTS)
    for thing in things:
        for path in (f"/api/things/{thing['id']}", f"/api/things/{thing['id']}/picture"):
            assert web.get(path).status_code == 200


def test_a_series_of_any_length_keeps_its_shape_in_a_bounded_number_of_points():
    series = Thin(100)
    for step in range(100_000):
        series.add([float(step), None if step % 2 else 1.0])
    steps, values = series.columns()
    assert 50 <= len(steps) <= 2 * thin.MOST and len(steps) < 250
    assert steps == sorted(steps) and steps[-1] > 99_000 and set(values) == {1.0}


@pytest.mark.parametrize("thousands", [100, pytest.param(1000, marks=pytest.mark.soak)])
def test_memory_stays_flat_however_many_events_there_are(tmp_path, thousands):
    """Read as the page reads it; written in one go, since it is the reader that is looked at."""
    path = tmp_path / "events-000001.jsonl"
    form = b'{"t":%d,"kind":"step","step":%d,"epoch":0,"loss":1.5,"accuracy":0.5}\n'
    lines = b"".join(form % (number, number) for number in range(1000))
    with path.open("wb") as file:
        for _ in range(thousands):
            file.write(lines)
    shown = RunView(tmp_path)
    list(shown._follower.new(1 << 20))  # what reading needs at all
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while shown._follower._offset < path.stat().st_size:
        for event in shown._follower.new(view.AT_ONCE):
            shown._take(event)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 << 10  # KiB
    assert len(shown._series.rows) <= 2 * thin.MOST


def test_fifty_viewers_see_the_same_and_the_files_are_read_once(client, scene, monkeypatch):
    scene().steps(500).counted()
    reads, taken = [], RunView._document
    monkeypatch.setattr(RunView, "_document", lambda self: reads.append(1) or taken(self))
    monkeypatch.setattr(view, "FRESH_S", 60.0)
    web, answers = client(), []
    (thing,) = web.get("/api/things").json()["things"]

    def look():
        answers.append(web.get(f"/api/things/{thing['id']}").json()["step"])

    viewers = [threading.Thread(target=look) for _ in range(50)]
    for viewer in viewers:
        viewer.start()
    for viewer in viewers:
        viewer.join()
    assert answers == [500] * 50 and len(reads) == 1


def test_a_port_that_is_taken_is_said_in_a_sentence(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(SystemExit) as end:
        main(["live", str(tmp_path), "--port", str(other.getsockname()[1])])
    assert end.value.code == 2 and "--port 0 takes any free one" in " ".join(capsys.readouterr().err.split())
