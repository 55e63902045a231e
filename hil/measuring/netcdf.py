"""NetCDF files of measurements, read bounded: an HDF5 file may point at other files and claim any size.

The only place that imports xarray and h5netcdf, which come with the extra `measure`.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from firmware_specs.extras import extra

with extra("measure", "what measures cells, or reads their maps,"):
    import h5netcdf
    import h5py
    from xarray import Dataset, open_dataset
    from xarray.backends import H5NetCDFStore

MOST_BYTES = 1 << 30
MOST_DATASETS = 1024


class _Looked(h5py.File):
    """An HDF5 file that opens each of its variables once.

    h5netcdf asks its file for a variable at every look at it, 40 times for each that is read or written, which was more
    than half of the time of a small file. Of files without groups inside, which measurements are.
    """

    def __init__(self, *file: Any, **options: Any) -> None:
        self._seen: dict[str, Any] = {}
        super().__init__(*file, **options)

    def __getitem__(self, name: Any) -> Any:
        if not isinstance(name, str):  # a reference
            return super().__getitem__(name)
        if name == "/":  # this group, so that what is deleted in it is forgotten here
            return self
        if name not in self._seen:
            self._seen[name] = super().__getitem__(name)
        return self._seen[name]

    def __delitem__(self, name: str) -> None:
        self._seen.clear()
        super().__delitem__(name)


def load(path: Path) -> Dataset:
    """All of a NetCDF file, in memory.

    Raises:
        ValueError: it is not there, no NetCDF, cut off, too large, or it leads to other files; the message names it.
    """
    try:
        with _Looked(path, "r") as file:
            _check(file)
            with (
                h5netcdf.File(file, "r", decode_vlen_strings=True, phony_dims="access") as found,
                open_dataset(H5NetCDFStore(found)) as opened,  # one that is closed can be sent to other processes
            ):
                return opened.load()
    except FileNotFoundError as error:
        raise ValueError(f"{path} is not there") from error
    except Exception as error:  # h5py and h5netcdf raise nearly everything on damaged input
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        held = any(word in said.lower() for word in ("lock", "already open"))
        todo = "; another program holds it: close it there" if held else ""
        raise ValueError(f"{path} does not read back: {said}{todo}") from error


def packed(dataset: Dataset) -> bytes:
    """A dataset as the bytes of a NetCDF file, those of `to_netcdf`."""
    content = io.BytesIO()
    with _Looked(content, "w", track_order=True) as file, h5netcdf.File(file, "w") as made:
        dataset.dump_to_store(H5NetCDFStore(made, mode="w"))
    return content.getvalue()


def _check(file: h5py.File) -> None:
    size = 0
    for count, (name, data) in enumerate(_datasets(file), 1):
        if count > MOST_DATASETS:
            raise ValueError(f"more than {MOST_DATASETS} variables")
        if data.external or data.is_virtual:
            raise ValueError(f"{name} has its values in another file")
        if data.dtype.kind not in "biufSUO" or (data.dtype.kind == "O" and data.shape not in (None, ())):
            raise ValueError(f"{name} holds {data.dtype}, expected numbers")
        size += math.prod(data.shape or ()) * data.dtype.itemsize
        if size > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES >> 20} MiB of values")


def _datasets(file: h5py.File) -> Iterator[tuple[str, Any]]:
    """The variables of the root group; a measurement has no other groups."""
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name} is a link")
        found = file[name]
        if not isinstance(found, h5py.Dataset):
            raise ValueError(f"{name} is no variable")
        yield name, found
