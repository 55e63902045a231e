"""Maps of conductances: saved without a write, written back, refused where they are not this chip's."""

import numpy as np
import pytest
import torch
import xarray as xr

from drivers.crossbar import Crossbar
from drivers.framed import Framed
from drivers.link import FramedLink
from drivers.session import Session
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from hil.counterparts.opening.wire import links_of
from hil.measuring import maps
from hil.measuring.characterize import plan, run
from hil.measuring.characterize.items import Found, Programming
from hil.measuring.placed import PlacedBlock
from hil.outputs import refuse_replacing

MACHINES = {}
BLOCK = dense_chain([6, 4, 3], bias=True)


def crossbar_of_chip(chip):
    """A new session with a device that stays on between them."""
    machine = MACHINES.setdefault(chip, Machine(Device(chip)))
    wire = links_of(machine, "loopback", "serial")()
    return Crossbar(Session(Framed(FramedLink(wire, owner="in process"), 10.0, 0.0), watchdog_s=60.0))


def trained(chip):
    """A chip whose block holds something, and what."""
    rng = np.random.default_rng(5)
    with crossbar_of_chip(chip) as crossbar:
        block = PlacedBlock(crossbar, 1, BLOCK)
        levels = {n: rng.uniform(0.1, 0.9, block.cells(n)) for n in range(2)}
        block.program(levels)
    return levels


def held(chip):
    return [c.written_s.clone() for c in chip.arrays[1].crossbars]


def test_a_map_is_saved_without_a_write_and_written_back_after_others_used_the_array(tmp_path):
    chip = Chip(load("discrete-board"), seed=3)
    trained(chip)
    before, pulses = held(chip), chip.usage(1, 0)[0].sum()
    with crossbar_of_chip(chip) as crossbar:
        assert maps.save(crossbar, tmp_path / "map.nc") == sum(c.numel() for c in before)
        refuse_replacing(tmp_path / "map.nc", overwrite=False)  # ours: it may be made again
    assert all(torch.equal(a, b) for a, b in zip(before, held(chip), strict=True))
    assert chip.usage(1, 0)[0].sum() == pulses
    with crossbar_of_chip(chip) as crossbar:
        PlacedBlock(crossbar, 1, dense_chain([8, 8], bias=False)).program({0: 0.5})
    with crossbar_of_chip(chip) as crossbar:
        restored = maps.restore(crossbar, tmp_path / "map.nc")
    assert (restored.cells, restored.missed) == (sum(c.numel() for c in before), 0)
    span = chip.datasheet.cells.span_s
    assert max(float((a - b).abs().max()) for a, b in zip(before, held(chip), strict=True)) < 0.02 * span
    data = xr.load_dataset(tmp_path / "map.nc", engine="h5netcdf")
    assert data["conductance_1_0"].attrs["units"] == "S" and data.attrs["serial"] == "seed-3"


def test_a_map_of_another_chip_or_a_broken_one_is_refused_before_anything_is_written(tmp_path):
    source, other = Chip(load("discrete-board"), seed=3), Chip(load("discrete-board"), seed=4)
    trained(source)
    with crossbar_of_chip(source) as crossbar:
        maps.save(crossbar, tmp_path / "map.nc", 2)
    with crossbar_of_chip(other) as crossbar, pytest.raises(maps.MapError, match=r"another chip .*seed-3"):
        maps.restore(crossbar, tmp_path / "map.nc")
    assert not other.arrays
    broken = xr.load_dataset(tmp_path / "map.nc", engine="h5netcdf")
    broken["conductance_1_0"][0, 0, 0] = np.nan
    broken.to_netcdf(tmp_path / "nan.nc", engine="h5netcdf")
    before = held(source)
    with crossbar_of_chip(source) as crossbar, pytest.raises(maps.MapError, match="1 values that are not numbers"):
        maps.restore(crossbar, tmp_path / "nan.nc")
    assert all(torch.equal(a, b) for a, b in zip(before, held(source), strict=True))
    (tmp_path / "text.nc").write_text("no map")
    with crossbar_of_chip(source) as crossbar, pytest.raises(maps.MapError, match=r"text\.nc"):
        maps.restore(crossbar, tmp_path / "text.nc")


def test_cells_that_do_not_follow_are_counted_and_a_device_without_a_block_has_no_map(tmp_path):
    sheet = load("discrete-board").model_dump() | {"faults": {"stuck_on": 0.1}}
    chip = Chip(type(load("discrete-board")).model_validate(sheet), seed=3)
    with crossbar_of_chip(chip) as crossbar, pytest.raises(maps.MapError, match="no array has a block"):
        maps.save(crossbar, tmp_path / "map.nc")
    sound = Chip(load("discrete-board"), seed=3)
    trained(sound)
    with crossbar_of_chip(sound) as crossbar:
        maps.save(crossbar, tmp_path / "map.nc")
    with crossbar_of_chip(chip) as crossbar:
        assert maps.restore(crossbar, tmp_path / "map.nc").missed > 0


def test_a_look_at_trained_cells_sees_them_as_they_are_and_writes_nothing(tmp_path):
    chip = Chip(load("discrete-board"), seed=3)
    levels = trained(chip)
    before = held(chip)
    with crossbar_of_chip(chip) as crossbar:
        found = run.characterize(crossbar, plan.Plan(array=1, found=Found()), tmp_path / "look")
    assert [f.name for f in found.figures] == ["found.level", "found.level_1"]
    for name, coupling in (("level", 0), ("level_1", 1)):
        seen = found.data["found"][name].to_numpy()[0].mean(axis=0)
        assert np.abs(seen - levels[coupling]).max() < 0.02
    assert all(torch.equal(a, b) for a, b in zip(before, held(chip), strict=True))
    assert chip.arrays[1].topology == BLOCK


def test_what_a_full_characterization_calls_found_is_what_was_there_before_it(tmp_path):
    chip = Chip(load("discrete-board"), seed=3)
    levels = trained(chip)
    with crossbar_of_chip(chip) as crossbar:
        what = plan.Plan(array=1, rows=8, columns=8, found=Found(), programming=Programming(levels=(0.2, 0.8, 0.5)))
        found = run.characterize(crossbar, what, tmp_path / "all")
    assert np.abs(found.data["found"]["level"].to_numpy()[0].mean(axis=0) - levels[0]).max() < 0.02


def test_configuring_another_block_leaves_cells_at_the_same_place_alone():
    none_stuck = load("pcm").model_dump(exclude_unset=True) | {"faults": {}}
    chip = Chip(Datasheet.model_validate(none_stuck), seed=3)
    chip.configure(0, dense_chain([6, 4], bias=False))
    chip.program(0, [torch.full((2, 6, 4), 1e-5, dtype=torch.float64)])
    chip.wait(100.0)
    before = chip.read(0, 0, reads=200)
    chip.configure(0, dense_chain([4, 8], bias=False))
    after = chip.read(0, 0, reads=200)
    assert torch.allclose(before[:, :4], after[:, :4, :4], rtol=0.1)
    assert float(after[:, :, 4:].max()) < 1e-6
