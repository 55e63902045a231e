"""`hil netlist`: files ngspice accepts, and refusals."""

import numpy as np
import pytest
from typer.testing import CliRunner

from emulator import ngspice
from hil.cli import build_app
from hil.counterparts.opening.bench import open_bench
from hil.measuring.netlist import NetlistError, of_datasheet, of_experiment

RUN = CliRunner()

SMALL = """
readout = "none"
[data]
name = "digits"
[[blocks]]
feedforward = [{ kind = "flatten" }, { kind = "mirror", gain = 10.0 }]
energy = { substrate = "resistive", couplings = [{ kind = "dense", units = 6 }, { kind = "dense", units = 10 }] }
"""


def test_datasheet_gets_a_random_network(tmp_path):
    output = tmp_path / "board.cir"
    result = RUN.invoke(
        build_app(), ["netlist", "resistive-board", "-o", str(output), "--units", "5,4,3", "--points", "2"]
    )
    assert result.exit_code == 0, result.output
    assert "5 sources, 7 nodes, 32 cells, 2 point(s)" in result.output
    text = output.read_text()
    assert text.count("\nRg") == 32 and text.count("\nDk") == 4 and text.count("write board.raw") == 2


def test_experiment_is_written_as_it_was_programmed(tmp_path):
    (tmp_path / "small.toml").write_text(SMALL)
    output = tmp_path / "small.cir"
    result = RUN.invoke(build_app(), ["netlist", str(tmp_path / "small.toml"), "-o", str(output)])
    assert result.exit_code == 0, result.output
    assert "128 sources, 16 nodes" in result.output
    assert output.read_text().startswith("* crossbar-hil resistive-ideal")


@pytest.mark.skipif(not ngspice.available(), reason="ngspice is not installed")
def test_experiments_netlist_solves_to_the_emulated_voltages(tmp_path):
    from hil.experiments import experiment_file

    (tmp_path / "small.toml").write_text(SMALL)
    bench = open_bench("emulator:resistive-ideal")
    circuit, drives_v = of_experiment(experiment_file.load(tmp_path / "small.toml"), bench, tmp_path, points=3)
    import torch

    (reading,) = bench.chip.settle(0, torch.from_numpy(drives_v))
    emulated = torch.cat([s.flatten(1) for s in reading.states_v], 1).numpy()
    assert np.abs(emulated - ngspice.solve(circuit, drives_v)).max() < 1e-6


def test_what_has_no_netlist_is_refused_with_the_reason(tmp_path):
    from firmware_specs.datasheet import load
    from hil.experiments import experiment_file

    with pytest.raises(NetlistError, match="mixed-8bit is a hopfield device"):
        of_datasheet(load("mixed-8bit"), [2, 2], 1, 0)
    with pytest.raises(NetlistError, match="no block of this experiment is resistive"):
        of_experiment(experiment_file.load("digits"), open_bench("emulator:ideal"), tmp_path, 1)
    (tmp_path / "small.toml").write_text(SMALL)
    with pytest.raises(NetlistError, match="the block is resistive, the device hopfield"):
        of_experiment(experiment_file.load(tmp_path / "small.toml"), open_bench("emulator:ideal"), tmp_path, 1)
    with pytest.raises(NetlistError, match="emulated device"):
        of_experiment(experiment_file.load("digits"), open_bench("reference:"), tmp_path, 1)
    result = RUN.invoke(build_app(), ["netlist", "resistive-board", "-o", str(tmp_path / "x.cir"), "--units", "5"])
    assert isinstance(result.exception, NetlistError)
