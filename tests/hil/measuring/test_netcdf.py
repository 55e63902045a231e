"""NetCDF files are xarray's own, to the last attribute, though each variable is opened once only."""

import io
import pickle

import numpy as np
import pytest

pytest.importorskip("xarray")
pytest.importorskip("h5netcdf")
import h5py
import xarray

from hil.measuring import netcdf

CELLS = ("row", "column")


def measured(coordinates):
    """Two maps of cells, a series, a word and a number; dimensions with and without values of their own."""
    rng = np.random.default_rng(1)
    maps = {name: (CELLS, rng.random((4, 3)), {"units": "S", "long_name": name}) for name in ("g_s", "sigma_s")}
    others = {"pulses": (("time", "row"), rng.integers(9, size=(5, 4))), "seconds": (("time",), rng.random(5))}
    return netcdf.Dataset(maps | others | {"ready": True, "said": "äh"}, coordinates, {"item": "iv", "version": 3})


def held(content):
    """All that a file says, but for references to its own places; it may hold times of its writing, too."""
    with h5py.File(io.BytesIO(content)) as file:
        return len(content), [
            (name, data.dtype.str, data.shape, str(data[()]), plain(data.attrs)) for name, data in file.items()
        ] + plain(file.attrs)


def plain(attributes):
    return [(key, str(value)) for key, value in attributes.items() if not key.endswith("_LIST")]


@pytest.mark.parametrize(
    "coordinates",
    [{}, {"row": np.arange(4), "column": [1.5, 2.5, 4.0]}, {"time": ("time", np.arange(5.0), {"units": "s"})}],
    ids=["none", "numbers", "with units"],
)
def test_what_is_written_and_read_is_what_xarray_would(tmp_path, coordinates):
    dataset = measured(coordinates)
    content = netcdf.packed(dataset)
    assert held(content) == held(bytes(dataset.to_netcdf(engine="h5netcdf")))
    path = tmp_path / "cells.nc"
    path.write_bytes(content)
    found = netcdf.load(path)
    assert found.identical(xarray.load_dataset(path, engine="h5netcdf")) and found.identical(dataset)
    path.unlink()  # nothing of it is read later
    assert pickle.loads(pickle.dumps(found)).identical(dataset)
    assert found["g_s"].dtype == np.float64 and float(found["g_s"].sum()) == float(dataset["g_s"].sum())


def test_no_variable_is_opened_at_each_look(tmp_path, monkeypatch):
    dataset = measured({"row": np.arange(4)})
    opened, opens = [], h5py.Group.__getitem__
    monkeypatch.setattr(h5py.Group, "__getitem__", lambda group, name: opened.append(name) or opens(group, name))
    (tmp_path / "cells.nc").write_bytes(netcdf.packed(dataset))
    written, read = len(opened), len(netcdf.load(tmp_path / "cells.nc").variables)
    names = [name for name in opened[written:] if isinstance(name, str)]
    assert len(names) == len(set(names)) >= read
    assert written < 5 * read, "hundreds of times were what a plain file took"
