"""What watching costs: a step with its event log and without, the server over a million events and 50 viewers.

`python -m benchmarks.watching [step] [server] [paint]`: all of them unless some are named. `paint` needs playwright and
a browser. `step` trains `digits`, on the reference and on an emulated chip.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil

from hil.training.run import marked
from hil.training.run.kinds import RUN

BLOCK, ROUNDS, STRETCH = 66, 40, 30
EVENTS, STEPS, VIEWERS, LOOKS = 1_000_000, 100_000, 50, 10
MIB = 1 << 20


def step(root: Path) -> None:
    """Steps with the recorder and without, in blocks in turn, and then the share of CPU time that is spent within it.

    Blocks without it before and behind show what such a comparison is worth. What is noted every few seconds is due
    by a clock that stands still in blocks without it: with the clock on the wall a quarter of the blocks would pay
    what falls due in all of them, four times its share. The time within it is that of a stretch where every step has
    it.
    """
    from hil.cli import main
    from hil.watching import rhythm
    from hil.watching.recorder import Recorder

    spent, done, began, passed = [0.0], [0], [0.0], [0.0, time.monotonic()]
    blocks: list[float] = []
    whole, after, observer = Recorder.step, Recorder.epoch, Recorder._observer
    turns = 4 * (ROUNDS + 1)

    def on() -> bool:
        block = done[0] // BLOCK
        return block >= turns or block % 4 == 1

    def watched_s() -> float:
        """The clock of what is due: seconds of the blocks that have the recorder."""
        return passed[0] + (time.monotonic() - passed[1] if on() else 0.0)

    def timed(work: Callable[[], None]) -> None:
        start = time.process_time()
        work()
        spent[0] += time.process_time() - start

    def recorded(self: Recorder, record: dict[str, float]) -> None:
        if on():
            timed(lambda: whole(self, record))
        if (done[0] + 1) % BLOCK == 0:
            passed[:] = watched_s(), time.monotonic()
        done[0] += 1
        if done[0] % BLOCK == 0:
            blocks.append(time.process_time() - began[0])
            if len(blocks) == turns:
                spent[0] = 0.0
            began[0] = time.process_time()

    def looked(self: Recorder, name: str, also: Callable[[Any], None]) -> Callable[[Any], None]:
        look = observer(self, name, lambda settled: None)

        def observe(settled: Any) -> None:
            also(settled)
            if on():
                timed(lambda: look(settled))

        return observe

    def told(self: Recorder, record: dict[str, object]) -> None:
        if on():
            timed(lambda: after(self, record))

    Recorder.step, Recorder.epoch, Recorder._observer = recorded, told, looked  # type: ignore[method-assign]
    rhythm.time = SimpleNamespace(monotonic=watched_s)  # type: ignore[assignment]
    settings = ["run.batch=64", "optimizer.lr=1e-9", "run.evaluate_every=1000", "data.train_samples=1408"]
    epochs = -(-(turns + STRETCH) * BLOCK // 22)
    options = [part for each in (*settings, f"run.epochs={epochs}") for part in ("--set", each)]
    for device in ("reference:", "emulator:mixed-8bit?seed=1"):
        done[0], began[0] = 0, time.process_time()
        blocks.clear()
        with suppress(SystemExit):
            main(["train", "digits", "--device", device, "--run-dir", str(root / device.partition(":")[0]), *options])
        rounds = [blocks[at : at + 4] for at in range(4, turns, 4)]  # the first round is warm-up
        watched = [2 * block / (before + behind) - 1 for before, block, behind, _ in rounds]
        same = [2 * block / (before + behind) - 1 for (_, _, before, block), (behind, *_) in pairwise(rounds)]
        each_ms = 1e3 * statistics.median(b[0] for b in rounds) / BLOCK
        print(f"{device}: {ROUNDS} blocks of {BLOCK} steps of {each_ms:.2f} ms, with it against those beside: "
              f"{_median(watched)}; without it against those beside: {_median(same)}; "
              f"{spent[0] / sum(blocks[turns:]):.2%} within the recorder")  # fmt: skip


def _median(ratios: list[float]) -> str:
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:+.2%} +- {1.35 * (high - low) / 2 / len(ratios) ** 0.5:.2%}"  # of a median, from the quartiles


def run_of(folder: Path, steps: int) -> None:
    """A run that has written so many steps, as the recorder writes them."""
    folder.mkdir(parents=True)
    marked.mark(folder, RUN)
    (folder / "config.toml").write_text("", encoding="utf-8")
    now = time.time()
    lines = [json.dumps({"t": now, "kind": "session", "title": "long", "device": "serial:/dev/ttyACM0", "epochs": 100,
                         "batches": steps // 100, "from_step": 0})]  # fmt: skip
    size, number = 0, 1
    file = (folder / f"events-{number:06d}.jsonl").open("w", encoding="utf-8")
    for at in range(1, steps + 1):
        lines.append(json.dumps({"t": round(now + at * 0.05, 3), "kind": "step", "step": at, "epoch": at // 1000,
                                 "batch": at % 1000, "lr": 0.001, "loss": 2.3 / at**0.3, "accuracy": 1 - 0.9 / at**0.2,
                                 "settled": 0.99, "iterations": 17.25, "clipped": 0.001, "rails": 0.02,
                                 "gradient_norm": 0.3 / at**0.1}))  # fmt: skip
        if len(lines) >= 1000:
            size += file.write("\n".join(lines) + "\n")
            lines = []
            if size > 8 << 20:
                file.close()
                number, size = number + 1, 0
                file = (folder / f"events-{number:06d}.jsonl").open("w", encoding="utf-8")
    file.write("\n".join(lines) + "\n" if lines else "")
    file.close()


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """`hil live` in a process of its own; its address."""
    command = [sys.executable, "-m", "hil", "live", str(folder), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as live:
        try:
            assert live.stdout is not None
            address = next(word for word in live.stdout.readline().split() if word.startswith("http"))
            for _ in range(200):
                try:
                    _got(address)
                    break
                except OSError:
                    time.sleep(0.05)
            yield address, psutil.Process(live.pid)
        finally:
            live.terminate()


def _got(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as reply:
        found: bytes = reply.read()
        return found


def server(root: Path) -> None:
    """Memory while a million events are read, then with many viewers."""
    run_of(root / "million" / "run", EVENTS)
    with served(root / "million") as (address, process):
        began, before = time.perf_counter(), process.memory_info().rss
        (thing,) = json.loads(_got(address + "api/things"))["things"]
        seen: list[tuple[int, float]] = []
        at = 0
        while at < EVENTS:
            time.sleep(0.5)
            at = json.loads(_got(f"{address}api/things/{thing['id']}"))["step"]
            seen.append((at, process.memory_info().rss / MIB))
        early = [rss for at, rss in seen if at <= EVENTS / 5] or [seen[0][1]]
        print(f"{EVENTS:,} events read in {time.perf_counter() - began:.1f} s: {before / MIB:.0f} MiB when it began, "
              f"{early[-1]:.0f} after {seen[len(early) - 1][0]:,}, {seen[-1][1]:.0f} at the end")  # fmt: skip
        times: list[float] = []

        def look() -> None:
            for _ in range(LOOKS):
                start = time.perf_counter()
                _got(address + "api/things")
                _got(f"{address}api/things/{thing['id']}")
                times.append(time.perf_counter() - start)
                time.sleep(max(0.0, 1.0 - (time.perf_counter() - start)))

        viewers = [threading.Thread(target=look) for _ in range(VIEWERS)]
        cpu, start = sum(process.cpu_times()[:2]), time.perf_counter()
        for viewer in viewers:
            viewer.start()
        for viewer in viewers:
            viewer.join()
        cpu, wall = sum(process.cpu_times()[:2]) - cpu, time.perf_counter() - start
        print(
            f"{VIEWERS} viewers, {len(times)} looks: median {1e3 * statistics.median(times):.0f} ms, longest "
            f"{1e3 * max(times):.0f} ms, {cpu / wall:.0%} of a core, {process.memory_info().rss / MIB:.0f} MiB"
        )


def paint(root: Path) -> None:
    """From opening the page of a long run to its first paint, and to its figures."""
    from playwright.sync_api import sync_playwright

    run_of(root / "long" / "run", STEPS)
    there = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    with served(root / "long") as (address, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=there, args=["--no-sandbox"])
        (thing,) = json.loads(_got(address + "api/things"))["things"]
        for way in ("first look at the run", "again", "again"):
            page = browser.new_page()
            start = time.perf_counter()
            page.goto(f"{address}#{thing['id']}")
            page.locator(".progress").wait_for()
            shown = time.perf_counter() - start
            entries = page.evaluate("performance.getEntriesByType('paint').map(p => [p.name, p.startTime])")
            said = ", ".join(f"{name} {at:.0f} ms" for name, at in entries)
            print(f"{STEPS:,} steps, {way}: {said}; figures there after {1e3 * shown:.0f} ms")
            page.close()
        browser.close()


def main(names: list[str]) -> None:
    """All figures, or those that are named."""
    for figure in (step, server, paint):
        if not names or figure.__name__ in names:
            with tempfile.TemporaryDirectory() as folder:
                figure(Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
