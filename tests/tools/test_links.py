"""Addresses in pages are asked whether they lead anywhere; no page is called wrong for want of a network."""

import http.server
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "links.py"
ANSWERS = {"/there": 200, "/moved": 302, "/gone": 404, "/forbidden": 403, "/broken": 503}


class Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(ANSWERS[self.path])
        if self.path == "/moved":
            self.send_header("Location", "/there")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site():
    """A web server, by a name of this machine that the tool does not take for an example's."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    served = threading.Thread(target=server.serve_forever)
    served.start()
    yield f"http://0.0.0.0:{server.server_port}"
    server.shutdown()
    served.join()
    server.server_close()


def looked(folder, *options):
    line = [sys.executable, TOOL, "--root", folder, *options]
    done = subprocess.run(line, capture_output=True, encoding="utf-8")
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()


def test_each_address_that_leads_nowhere_is_named_with_its_page_line_and_reason(tmp_path, site):
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(f"[a]({site}/there), <{site}/moved> and\n{site}/gone.\n")
    (tmp_path / "docs" / "page.md").write_text(f"\n[again]({site}/gone) and `{site}/forbidden`\n")
    code, lines = looked(tmp_path)
    assert lines == [
        f"README.md:2, docs/page.md:2: {site}/gone: 404 Not Found",
        "3 lead somewhere, 1 lead nowhere, 0 could not be asked from here of 4 addresses",
    ]
    assert code == 1


def test_servers_that_cannot_be_asked_count_only_where_all_can_be_reached(tmp_path, site):
    with socket.socket() as silent, socket.socket() as free:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        free.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        mute, refusing = (f"http://0.0.0.0:{one.getsockname()[1]}/" for one in (silent, free))
        (tmp_path / "README.md").write_text(f"{mute} {refusing} http://nobody.invalid/ {site}/broken {site}/there\n")
        code, lines = looked(tmp_path, "--timeout-s", "4", "--online")
    told = dict(line.removeprefix("README.md:1: ").split(": ", 1) for line in lines[:-1])
    assert told[mute] == "no answer in 4 s"
    assert "refused" in told[refusing]
    assert told[f"{site}/broken"].startswith("the server has trouble of its own, 503")
    assert told["http://nobody.invalid/"]
    assert lines[-1] == "1 lead somewhere, 0 lead nowhere, 4 could not be asked from here of 5 addresses"
    assert code == 1
    (tmp_path / "README.md").write_text("http://nobody.invalid/")
    assert looked(tmp_path)[0] == 0


def test_papers_are_asked_by_their_numbers_and_examples_are_not(tmp_path):
    (tmp_path / "CITATION.cff").write_text(
        "doi: 10.1/not-one\n    doi: 10.99999/nobody.1\n    notes: arXiv:0000.00000\n"
    )
    (tmp_path / "README.md").write_text("`http://127.0.0.1:8321/` `http://localhost:1/x`\n")
    _, lines = looked(tmp_path, "--timeout-s", "0.2")
    named = {line.split(": ")[1] for line in lines[:-1]}
    assert named <= {"https://doi.org/10.99999/nobody.1", "https://arxiv.org/abs/0000.00000"}
    assert lines[-1].endswith("of 2 addresses")
