"""Folders as runs, characterizations and studies leave them, and a server of the page in a thread."""

import contextlib
import json
import math
import shutil
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from drivers.deed_file import DeedFile
from drivers.owner_file import OwnerFile
from firmware_specs.deeds import Deeds
from hil.training.run import marked
from hil.training.run.kinds import CHARACTERIZATION, RUN, STUDY
from hil.watching.events import EventLog


class Scene:
    """A run that is told what happens."""

    def __init__(self, folder, title="a run", epochs=2, batches=50):
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "config.toml").write_text("")
        marked.mark(folder, RUN)
        self.log = EventLog(folder)
        self.log.write(
            "session", title=title, device="serial:/dev/ttyACM0", epochs=epochs, batches=batches, from_step=0
        )
        self._held = None

    def steps(self, count, start=1):
        for step in range(start, start + count):
            loss = 2.3 * math.exp(-step / 40) + 0.05
            self.log.write("step", step=step, epoch=step // 50, loss=loss, accuracy=1 - loss / 3, settled=0.98,
                           clipped=0.001, rails=0.02, iterations=20.0)  # fmt: skip
        return self

    def running(self):
        self._held = OwnerFile(self.folder / marked.LOCK, str(self.folder))
        return self

    def counted(self):
        with DeedFile(self.folder / "ledger.bin") as file:
            file.add(Deeds(free=1234, nudged=2468, adc=99999, pulses_up=17, pulses_down=5, device_s=0.5, array_j=2e-6))
        return self

    def picture(self):
        cells = {"rows": 4, "columns": 3, "held_s": [[1e-6, 5e-5, None]] * 4, "pulses": [[1, 2, 3]] * 4,
                 "energy_j": [[0, 1e-9, 2e-9]] * 4}  # fmt: skip
        block = {"layers": [{"states": [[0.0, 0.5, 1.0]] * 8, "contrast": 0.0123}]}
        content = {"t": time.time(), "blocks": {"block_1.energy": block}, "cells": {"array 0 coupling 0": cells}}
        (self.folder / "picture.json").write_text(json.dumps(content))
        return self

    def device(self, **more):
        told = {"outputs": True, "watchdog_s": 2.0, "lease_s": 10.0, "lease_left_s": 9.5, "energy_j": 0.002,
                "temperature_k": 301.5, "most_temperature_k": 350.0,
                "resent": 3, "damaged": 0, "pulses": 1000.0}  # fmt: skip
        self.log.write("device", **(told | more))
        return self

    def calibrated(self, days_ago, age_days, valid_days):
        """A session that began some days ago with a calibration of an age."""
        began = datetime.now(UTC) - timedelta(days=days_ago)
        said = {"id": "cal-7", "age_days": age_days, "valid_days": valid_days, "overridden": []}
        sessions = [{"started": began.isoformat(timespec="seconds"), "counterpart": {"calibration": said}}]
        (self.folder / "provenance.json").write_text(json.dumps({"sessions": sessions}))
        return self

    def tripped(self):
        self.device(outputs=False)
        self.log.write("fault", error="DeviceFault", text="tripped: OVER_TEMPERATURE, chip at 360 K", step=40)
        self.log.write("ended", why="failed", text="tripped: OVER_TEMPERATURE")
        return self

    def ended(self, why="all epochs done"):
        self.log.write("ended", why=why)
        return self

    def close(self):
        self.log.close()
        if self._held is not None:
            self._held.release()


@pytest.fixture
def scene(tmp_path):
    made = []

    def make(name="run", **more):
        made.append(Scene(tmp_path / "runs" / name, **more))
        return made[-1]

    (tmp_path / "runs").mkdir(exist_ok=True)
    yield make
    for each in made:
        each.close()


@pytest.fixture
def characterized(tmp_path):
    """A finished characterization's folder."""
    folder = tmp_path / "runs" / "chip 7"
    folder.mkdir(parents=True)
    marked.mark(folder, CHARACTERIZATION)
    chip = {"vendor": "acme", "model": "xbar", "serial": "7", "firmware": "1.0"}
    (folder / "provenance.json").write_text(json.dumps({"chip": chip, "plan": {}, "address": "serial:COM3"}))
    (folder / "read_noise.nc").write_bytes(b"")
    figure = {"name": "read_noise.sigma", "value": 0.0123, "sigma": 0.0004, "unit": "1", "note": "of 64 cells"}
    (folder / "figures.json").write_text(
        json.dumps({"chip": chip, "figures": [figure], "skipped": {"drift": "no clock"}})
    )
    return folder


@pytest.fixture
def studied(tmp_path):
    """A study with two points done, one of them failed."""
    folder = tmp_path / "runs" / "study"
    marked_points = {"bits=4": 0.91, "bits=2": None}
    folder.mkdir(parents=True)
    marked.mark(folder, STUDY, points=3)
    for name, accuracy in marked_points.items():
        point = folder / "points" / name
        point.mkdir(parents=True)
        row = {"values": {"bits": 4}, "accuracy": accuracy, "seconds": 12.5, "note": "" if accuracy else "refused"}
        (point / "point.json").write_text(json.dumps([row]))
    return folder


@pytest.fixture
def page():
    """`page(folder)` is the address of a server that shows it."""
    uvicorn = pytest.importorskip("uvicorn", reason="the extra [live] is not installed")
    from hil.watching.live.server import application

    with contextlib.ExitStack() as running:

        def serve(folder, **more):
            config = uvicorn.Config(application(folder, **more), port=0, log_level="error", lifespan="off")
            server = uvicorn.Server(config)
            thread = threading.Thread(target=server.run, daemon=True)
            thread.start()

            def end():
                server.should_exit = True
                thread.join(10)

            running.callback(end)
            while not server.started:
                time.sleep(0.005)
                assert thread.is_alive()
            return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"

        yield serve


@pytest.fixture(scope="module")
def browser():
    """A headless browser; skipped with the reason where there is none."""
    sync = pytest.importorskip("playwright.sync_api", reason="no browser driver: pip install playwright")
    names = ("chromium", "chromium-browser", "google-chrome")
    there = next((found for name in names if (found := shutil.which(name))), None)
    ran = subprocess.run([sys.executable, "-m", "playwright", "--version"], capture_output=True, text=True)
    if ran.returncode:  # its own node wants a library that a bare system lacks
        pytest.skip(f"no browser driver: {ran.stderr.strip()}")
    with sync.sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(executable_path=there, args=["--no-sandbox", "--disable-gpu"])
        except sync.Error as error:
            pytest.skip(f"no browser: {str(error).splitlines()[0]}")
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def tab(browser):
    """One page for all tests of a module: another one costs the processor a second."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture
def visit(tab):
    """`visit(address, inside, width, scheme)` opens a page; nothing it does may fail, or ask for what is not inside."""
    wrong, heard = [], []

    def hear(event, heeded):
        tab.on(event, heeded)
        heard.append((event, heeded))

    def go(address, inside, width, scheme):
        tab.set_viewport_size({"width": width, "height": 900})
        tab.emulate_media(color_scheme=scheme)
        hear("pageerror", lambda error: wrong.append(str(error)))
        hear("request", lambda asked: None if asked.url.startswith((*inside, "data:")) else wrong.append(asked.url))
        hear("request", lambda asked: None if asked.method == "GET" else wrong.append(asked.method))
        tab.goto(address)
        return tab

    yield go
    for event, heeded in heard:
        tab.remove_listener(event, heeded)
    tab.unroute_all()
    tab.goto("about:blank")
    tab.mouse.move(0, 0)
    assert wrong == []
