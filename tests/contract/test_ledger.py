"""The ledger says what the device's own journal says, to the last conversion, over every door, after a kill, too."""

import contextlib
import signal
import subprocess
import time

import numpy as np
import pytest
import torch

from drivers.accounts import life_file
from drivers.connect import connect
from drivers.deed_file import DeedFile, read
from emulator.chip import Chip
from emulator.serve import Doors
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import load
from firmware_specs.deeds import Deeds, Tally
from firmware_specs.messages import Region
from hil.cli import main
from hil.counterparts.device import DeviceBench
from hil.counterparts.opening.bench import open_bench
from hil.watching import chips, ledger

LOOPBACKS = ("serial loopback", "scpi loopback")
WIRES = {"socket": Doors(tcp=0), "scpi socket": Doors(scpi=0)}
COUNTS = tuple(name for name in Deeds().document() if not name.endswith(("_s", "_j")))
SMALL = """
[data]
name = "digits"
train_samples = 100
test_samples = 20
[[blocks]]
feedforward = [{ kind = "flatten" }, { kind = "linear", units = 12 }]
[blocks.energy]
couplings = [{ kind = "dense", units = 8 }]
[run]
epochs = 2
batch = 50
checkpoint_every = 2
"""


def counts(deeds):
    return {name: round(getattr(deeds, name)) for name in COUNTS}


def journal_of(device):
    """What the journal's events add up to, read by itself: pulses, cells written, phases and readings."""
    said = Tally()
    for event in device.journal.events:
        values = event.values
        if event.text.startswith("settle"):
            said.add(Deeds(free=values["samples"], nudged=values["samples"] * values["nudges"]))
        elif event.text.startswith("write cells"):
            said.add(Deeds(written=values["cells"], write_pulses=values["pulses"]))
        elif event.text.startswith("pulse"):
            said.add(Deeds(**{"pulses_up" if values["up"] else "pulses_down": values["pulses"]}))
        elif "readings" in values:
            said.add(Deeds(reads=values["readings"]))
    return said.total


def test_every_verb_is_counted_as_the_device_counts_it(open_crossbar, tmp_path):
    crossbar, device = open_crossbar("pulsed", seed=2)
    with crossbar, DeedFile(tmp_path / "counts") as file:
        crossbar.session.accounts.count_into(file)
        crossbar.configure(0, dense_chain([6, 5]))
        crossbar.arm()
        crossbar.program(0, [np.full((2, 7, 5), 5e-5)])
        drive, nudge = np.full((3, 6), 1e-5), np.full((3, 5), 1e-6)
        crossbar.settle(0, drive, [nudge, -nudge], reads=4)
        crossbar.settle(0, drive, layers=[1])
        crossbar.pulse(Region(0, 0, 1, 0, 2, 1, 3), up=True, amplitude_v=1.0, width_s=1e-6, count=3)
        crossbar.pulse(Region(0, 0, 0, 1, 1, 1, 1), up=False, amplitude_v=1.0, width_s=1e-6, count=2)
        crossbar.read_conductances(0, 0, reads=3)
        crossbar.measure(Region(0, 0, 0, 0, 7, 0, 5), [0.1, 0.05], reads=2)
        found = crossbar.session.accounts.done.total
        assert counts(found) == counts(device.chip.done.total) == counts(file.total)
        for name in ("device_s", "free_s", "nudged_s"):
            told, counted = getattr(found, name), getattr(device.chip.done.total, name)
            assert told == pytest.approx(counted, rel=1e-9) and told > 0
    expected = {"free": 6, "nudged": 6, "dac": 3 * 6 + 2 * 3 * 5 + 3 * 6, "adc": 3 * 3 * 11 * 4 + 3 * 5, "written": 70}
    expected |= {"pulses_up": 18, "pulses_down": 2, "reads": 70 * 3 + 35 * 4, "products": 0, "write_pulses": 70}
    assert counts(found) == expected
    journal = journal_of(device)
    for name in ("free", "nudged", "written", "write_pulses", "pulses_up", "pulses_down", "reads"):
        assert getattr(journal, name) == expected[name], name


@pytest.mark.parametrize("door", LOOPBACKS, indirect=True)
def test_products_are_counted_as_the_device_counts_them(open_crossbar):
    crossbar, device = open_crossbar("openmena-8x8-like", seed=2)
    with crossbar:
        crossbar.configure(0, dense_chain([6, 5], bias=False))
        crossbar.arm()
        crossbar.program(0, [np.full((2, 6, 5), crossbar.g_range_s[1])])
        for plane in (0, 1):
            crossbar.product(0, 0, np.full((4, 6), 0.01), plane, reads=3)
        crossbar.product(0, 0, np.full((2, 5), 0.01), 0, transposed=True)
        found = crossbar.session.accounts.done.total
    assert counts(found) == counts(device.chip.done.total)
    assert (found.products, found.dac, found.adc) == (10, 2 * 24 + 10, 2 * 4 * 5 * 3 + 2 * 6)


@pytest.mark.parametrize("door", LOOPBACKS[:1], indirect=True)
def test_what_is_refused_is_not_counted(open_crossbar):
    crossbar, device = open_crossbar("pulsed")
    with crossbar:
        crossbar.configure(0, dense_chain([6, 5]))
        with pytest.raises(Exception, match="outputs are off"):
            crossbar.settle(0, np.zeros((3, 6)))
        assert counts(crossbar.session.accounts.done.total) == counts(device.chip.done.total) == counts(Deeds())


def test_the_life_of_a_chip_goes_on_over_sessions(served):
    board = served(Doors(tcp=0), "pulsed", seed=77)
    for _ in range(2):
        with connect(board.addresses[0]) as crossbar:
            crossbar.configure(0, dense_chain([4, 3]))
            crossbar.arm()
            crossbar.settle(0, np.zeros((2, 4)))
            chip = crossbar.info.chip
            crossbar.program(0, [np.full((2, 5, 3), 5e-5)])
    total, doubtful = read(life_file(chip))
    assert counts(total) == counts(board.device.chip.done.total) and total.free == 4 and doubtful == 0
    (life,) = (each for each in chips.lives("seed 77") if not each.damaged)
    assert life.total == total and life.most_pulses == int(board.device.chip.usage(0, 0)[0].max()) >= 1


def killed_in_training(python, address, run_dir, experiment, after):
    """Starts `hil train` and kills it with -9 once it has counted so many phases; returns what was counted."""
    command = ["-m", "hil", "train", str(experiment), "--device", address, "--run-dir", str(run_dir)]
    command += ["--resume"] if run_dir.exists() else ["--set", "run.epochs=40"]
    process = python.popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    path = run_dir / ledger.COUNTS
    try:
        while process.poll() is None and not (path.is_file() and read(path)[0].free >= after):
            time.sleep(0.002)
        assert process.poll() is None, process.stderr.read()[-2000:]
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    return read(path)[0]


@pytest.mark.parametrize("name", WIRES)
def test_kill_9_and_resume_lose_no_count_and_invent_none(python, served, tmp_path, name):
    experiment = tmp_path / "small.toml"
    experiment.write_text(SMALL)
    board, run = served(WIRES[name], "mixed-8bit", seed=5), tmp_path / "run"
    first = killed_in_training(python, board.addresses[0], run, experiment, 700)
    second = killed_in_training(python, board.addresses[0], run, experiment, first.free + 900)
    assert second.free > first.free
    more = ["train", str(experiment), "--resume", "--device", board.addresses[0], "--run-dir", str(run)]
    with pytest.raises(SystemExit) as done:
        main([*more, "--set", f"run.epochs={2 + int(second.free // 250)}"])
    assert done.value.code == 0
    found, had = ledger.of_run(run), counts(board.device.chip.done.total)
    assert counts(found.total) == had and found.doubtful == 0


JOURNALLED = """
import os, signal, sys
from emulator.chip import Chip
from hil.cli import main

journal, left = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND), int(sys.argv[2])


def noted(name, told):
    verb = getattr(Chip, name)

    def done(self, *given, **named):
        global left
        found = verb(self, *given, **named)
        os.write(journal, (" ".join(map(str, told(*given, **named))) + "\\n").encode())
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(Chip, name, done)


def settled(array, drive, nudges=(), *rest):
    return len(drive), len(drive) * len(nudges), 0


def written(array, targets, masks=None):
    return 0, 0, sum(map(lambda t: t.numel(), targets)) if masks is None else sum(int(m.sum()) for m in masks)


noted("settle", settled)
noted("program", written)
main(sys.argv[3:])
"""


def test_kill_9_in_process_loses_no_count_and_invents_none(python, tmp_path):
    """The chip dies with its process; a journal that the chip's verbs write in their own way outlives both."""
    (tmp_path / "small.toml").write_text(SMALL)
    (tmp_path / "journalled.py").write_text(JOURNALLED)
    run, journal = tmp_path / "run", tmp_path / "journal"
    command = ["train", str(tmp_path / "small.toml"), "--device", "emulator:mixed-8bit?seed=5", "--run-dir", str(run)]
    for verbs, more in ((40, ["--set", "run.epochs=40"]), (31, ["--resume"]), (7, ["--resume"])):
        call = [str(tmp_path / "journalled.py"), str(journal), str(verbs), *command, *more]
        process = python.popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = process.communicate()[1]
        assert process.returncode == -signal.SIGKILL, said[-2000:]
        lines = np.loadtxt(journal, dtype=int, ndmin=2)
        found, doubtful = read(run / ledger.COUNTS)
        assert [round(found.free), round(found.nudged), round(found.written)] == lines.sum(0).tolist()
        assert doubtful == 0
    assert len(lines) == 40 + 31 + 7 and (lines.sum(0) > 0).all()


@pytest.mark.parametrize("door", ["in process", LOOPBACKS[0]], indirect=True)
def test_joules_of_products_are_the_integral_over_the_lines_own_currents(open_crossbar, door, monkeypatch):
    """Every product as the chip does it: currents of the true cells at the voltages that were asked for."""
    watts, chips = [], []

    def of(chip, array, volts, transposed, planes):
        for g in chip.conductances_s(array)[0].double()[planes]:
            driven = (g.T if transposed else g)[: volts.shape[1]]
            watts.append(float((volts.double() * (volts.double() @ (driven.sum(1).diag()))).sum()))

    tiled, line = Chip.tiled_product, Chip.line_product

    def tiled_product(self, grid, volts, transposed=False, portion=None):
        down, (rows, columns) = np.array(grid), self.arrays[int(np.array(grid)[0, 0])].crossbars[0].shape[1:]
        for row, column in np.ndindex(down.shape):
            start = column * columns if transposed else row * rows
            size = self.arrays[int(down[row, column])].crossbars[0].shape[2 if transposed else 1]
            of(self, int(down[row, column]), volts[:, start : start + size], transposed, slice(None))
        chips.append(self)
        return tiled(self, grid, volts, transposed, portion)

    def line_product(self, array, volts, transposed, plane, reads):
        of(self, array, volts, transposed, slice(plane, plane + 1))
        chips.append(self)
        return line(self, array, volts, transposed, plane, reads)

    monkeypatch.setattr(Chip, "tiled_product", tiled_product)
    monkeypatch.setattr(Chip, "line_product", line_product)
    sheet = load("openmena-8x8-like")
    with contextlib.ExitStack() as held:
        if door == "in process":
            bench = held.enter_context(open_bench("emulator:openmena-8x8-like?seed=3", dtype=torch.float64))
        else:
            crossbar, device = open_crossbar("openmena-8x8-like", seed=3)
            bench = DeviceBench(held.enter_context(crossbar), "door", device.chip.datasheet)
        array = bench.place(dense_chain([15, 16]))
        generator = torch.Generator().manual_seed(1)
        shapes = {"weight_0": (16, 15), "bias_0": (16,)}
        array.program({name: torch.randn(shape, generator=generator) * 0.2 for name, shape in shapes.items()})
        drive = torch.rand(1, 15, generator=generator, dtype=torch.float64)
        array.settle(drive)
        found = bench.deeds()
    joules = sum(watts) * sheet.product.read_time_s
    assert chips and found.products > 0
    assert found.array_j == pytest.approx(joules, rel=0.01) and joules > 0


@pytest.mark.parametrize("door", LOOPBACKS[:1], indirect=True)
def test_joules_are_the_integral_over_the_emulators_own_currents(open_crossbar):
    """Cells' true conductances at the true states of every phase, over the stated time; by phase, too."""
    crossbar, device = open_crossbar("mixed-8bit", seed=3)
    with crossbar:
        bench = DeviceBench(crossbar, "door", device.chip.datasheet)
        array = bench.place(dense_chain([20, 16, 10]))
        generator = torch.Generator().manual_seed(1)
        weights = {
            f"weight_{n}": torch.randn(shape, generator=generator) * 0.2 for n, shape in enumerate([(16, 20), (10, 16)])
        }
        biases = {f"bias_{n}": torch.randn(size, generator=generator) * 0.05 for n, size in enumerate([16, 10])}
        array.program(weights | biases)
        nudge = torch.full((32, 10), 0.05)
        drive = torch.rand(32, 20, generator=generator) * 2
        array.settle(drive)  # as a training does, forwards: it has no nudged phase
        first = bench.deeds()
        settled = array.settle(drive, [nudge, -nudge])
        found = bench.deeds() - first
    sheet = device.chip.datasheet
    unit_j = sheet.neurons.state_unit_v**2 * (sheet.settle.time_s + sheet.read_time_s)
    free_j, *nudged_j = (unit_j * watts_of(device.chip, states) for states in (settled.free, *settled.nudged))
    assert (found.free_j, first.array_j) == pytest.approx((free_j, free_j), rel=0.01)
    assert found.nudged_j == pytest.approx(sum(nudged_j), rel=0.01)
    assert found.array_j == pytest.approx(found.free_j + found.nudged_j, rel=1e-9)


def watts_of(chip, states):
    """What the cells dissipate, all samples together, where a state of 1 is a volt."""
    watts = 0.0
    for number, cells in enumerate(chip.conductances_s(0)):
        pre, post, g = states[number].double(), states[number + 1].double(), cells.double()
        pre = torch.cat([pre, torch.ones(len(pre), 1, dtype=torch.float64)], 1)
        for plane in g:
            watts += float((pre**2 * (torch.ones_like(post) @ plane.T)).sum())  # forward, rows driven
            watts += float((post**2 * (torch.ones_like(pre)[:, :-1] @ plane[:-1])).sum())  # back, columns driven
    return watts
