"""The scripts of the page on virtual laboratories, as they stand there, beside the laboratory file of the page."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "virtual-laboratory.md").read_text()


def block(language, mark):
    found = [b for b in re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE) if mark in b]
    assert len(found) == 1
    return found[0]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "lab.toml").write_text(block("toml", "# lab.toml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(python, folder):
    """What a script of the page says, by itself in a folder beside the laboratory file."""

    def done(script):
        (folder / "script.py").write_text(script)
        little = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(ROOT)}
        ended = python.run(["script.py"], capture_output=True, cwd=folder, env=little)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return done


def test_the_pymeasure_script_measures_the_resistor(run):
    script = block("python", "pymeasure")
    assert "crossbar" not in script and "emulator" not in script
    assert float(run(script).split()[0]) == pytest.approx(1e3, rel=2e-3)
    volts, amps = np.loadtxt("iv.csv", delimiter=",", unpack=True)
    assert np.allclose(amps, volts / 1e3, atol=2e-6)


def test_the_qcodes_measurement_fills_its_data_base_and_plots(run, folder):
    pytest.importorskip("qcodes", reason="QCoDeS is not installed: pip install crossbar-hil[peers]")
    assert "15 points" in run(block("python", "qcodes"))
    assert (folder / "diode.png").stat().st_size > 5_000
    assert (folder / "lab.db").stat().st_size > 5_000


def test_the_part_of_ones_own_warms_up(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    (folder / "parts.py").write_text(block("python", "class Bulb"))
    from emulator.circuits.laboratory import Laboratory
    from firmware_specs.labs import single
    from firmware_specs.registry import trust

    trust("parts")
    laboratory = Laboratory(single("keithley-2400", "parts:Bulb?cold_ohm=5"))
    feed = laboratory.feed("instrument")
    feed(b":SENS:CURR:PROT 1;:SOUR:VOLT 1;:OUTP ON\n")
    amps = [float(feed(b":READ?\n").split(b",")[1]) for _ in range(20)]
    assert amps[0] == pytest.approx(0.2, rel=1e-2)
    assert all(later <= earlier + 1e-4 for earlier, later in itertools.pairwise(amps))
    assert amps[-1] < amps[0]
