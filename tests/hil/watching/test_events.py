"""The event log: only added to, readable while it is written, whole again after a kill, never endless."""

import json

import pytest

from hil.watching import events
from hil.watching.events import EventLog, Follower, read


def kinds(found):
    return [event["kind"] for event in found]


def test_a_reader_goes_on_where_it_was_over_files_that_fill_up(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "FULL_BYTES", 400)
    log, follower, seen = EventLog(tmp_path), Follower(tmp_path), []
    for number in range(50):
        log.write("step", step=number)
        if number % 7 == 0:
            seen += follower.new()
    seen += follower.new()
    log.close()
    assert [event["step"] for event in seen] == list(range(50))
    assert list(follower.new()) == [] and len(list(tmp_path.iterdir())) > 3
    assert [event["step"] for event in read(tmp_path)] == list(range(50))


def test_the_oldest_files_go(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "FULL_BYTES", 60)
    monkeypatch.setattr(events, "MOST_FILES", 3)
    log, follower = EventLog(tmp_path), Follower(tmp_path)
    first = list(follower.new())
    for number in range(20):
        log.write("step", step=number)
    log.close()
    assert first == [] and len(list(tmp_path.iterdir())) <= 4
    later = [event["step"] for event in follower.new()]
    assert later == list(range(20))[-len(later) :] and later


def test_a_line_cut_off_by_a_kill_is_left_out_and_the_next_is_whole(tmp_path):
    log = EventLog(tmp_path)
    log.write("step", step=1)
    log.close()
    path = next(tmp_path.iterdir())
    with path.open("ab") as file:
        file.write(b'{"t":1,"kind":"st')
    assert [event["step"] for event in read(tmp_path)] == [1]
    log = EventLog(tmp_path)
    log.write("step", step=2)
    log.close()
    assert [event["step"] for event in read(tmp_path)] == [1, 2]


@pytest.mark.parametrize(
    "line",
    [b"[]", b"null", b'"x"', b'{"kind":1,"t":0}', b'{"kind":"step"}', b'{"kind":"step","t":"now"}', b"\xff\xfe", b"["
     * 100_000, b'{"kind":"step","t":1e999}'],
    ids=range(9),
)  # fmt: skip
def test_what_is_no_event_is_left_out(tmp_path, line):
    (tmp_path / "events-000001.jsonl").write_bytes(line + b'\n{"t":1,"kind":"step"}\n')
    assert kinds(read(tmp_path)) == ["step"]


def test_nothing_that_json_has_no_form_for_is_written(tmp_path):
    log = EventLog(tmp_path)
    log.write("step", loss=float("nan"), more={"a": [float("inf"), 1.0]})
    log.close()
    text = next(tmp_path.iterdir()).read_text()
    found = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert found["loss"] is None and found["more"] == {"a": [None, 1.0]}


def test_a_link_in_the_place_of_the_log_is_not_followed(tmp_path):
    (tmp_path / "run").mkdir()
    target = tmp_path / "thesis"
    target.write_text("mine")
    (tmp_path / "run" / "events-000001.jsonl").symlink_to(target)
    with pytest.raises(OSError):
        EventLog(tmp_path / "run")
    assert target.read_text() == "mine"


def test_a_line_longer_than_any_event_does_not_stop_a_reader(tmp_path):
    (tmp_path / "events-000001.jsonl").write_bytes(b"x" * (3 << 20) + b'\n{"t":1,"kind":"step"}\n')
    assert kinds(read(tmp_path)) == ["step"]
