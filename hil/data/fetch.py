"""Downloads of data sets, checked by pooch."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

from hil.data.catalogue import CATALOGUE, OTHER_LAYOUTS, Download, is_distributed
from hil.data.dataset import DataError
from hil.data.unpack import unpacked


def fetch(name: str, root: Path) -> list[Path]:
    """Downloads a data set into its folder below the data root.

    Returns:
        The files that are there now.

    Raises:
        DataError: unknown name, no network, or a digest that does not fit; it says what to download and to where.
    """
    if name not in CATALOGUE:
        raise DataError(f"{name!r} is not downloaded; known: {', '.join(sorted(CATALOGUE))}")
    return [path for download in CATALOGUE[name] for path in _retrieve(name, download, root)]


def by_hand(name: str, root: Path) -> str:
    """What a person without a network connection does."""
    lines = [f"To have {name} without a network connection, download on another machine:"]
    lines += [_step(download, root) for download in CATALOGUE[name]]
    if name in OTHER_LAYOUTS:
        lines.append("or, which is read as well:")
        lines += [_step(download, root) for download in OTHER_LAYOUTS[name]]
    return "\n".join(lines)


def _step(download: Download, root: Path) -> str:
    check = f", MD5 {download.md5}" if download.md5 else ""
    verb = "unpack it in" if _packed(download) else "put it in"
    return f"  {download.url}{check}\n    and {verb} {(root / download.folder).resolve()}"


def _packed(download: Download) -> bool:
    return download.name.endswith((".tar.gz", ".zip"))


def _retrieve(name: str, download: Download, root: Path) -> list[Path]:
    import pooch
    from requests.exceptions import RequestException

    folder = root / download.folder
    known = f"md5:{download.md5}" if download.md5 else None
    try:
        got = Path(pooch.retrieve(download.url, known, fname=download.name, path=folder))
        if not _packed(download):
            return [got]
        files = unpacked(got, folder)
        _check_unpacked(download, folder)
        return files
    except (RequestException, OSError) as error:
        raise DataError(f"{download.url}: cannot be downloaded: {error}\n{by_hand(name, root)}") from error
    except (ValueError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise DataError(f"{download.url}: not the file that was published: {error}") from error


def _check_unpacked(download: Download, folder: Path) -> None:
    for name, digest in download.unpacked:
        if digest and not ((path := folder / name).is_file() and is_distributed(path, digest)):
            raise ValueError(f"{name} in it is missing or has other bytes than the distribution")
