"""Looks into a wheel and a sdist: is everything in them that is needed, and nothing that is not?

Usage: packed.py FOLDER, which holds one of each.
"""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

PACKAGES = {"hil", "drivers", "emulator", "firmware_specs", "pyvisa_hil"}
DATA = (
    ".toml",
    ".md",
    ".json",
    ".lua",
    ".j2",
    ".h",
    ".c",
    ".typed",
    ".mako",
    ".ld",
    ".S",
    ".txt",
    ".csv",
    ".csv.gz",
    "Makefile",
)
IN_SDIST = (
    "docs/explanation/architecture.md",
    "tests/conftest.py",
    "constraints.txt",
    "Makefile",
    "CITATION.cff",
    "LICENSE",
)


def main() -> None:
    """Exits with a sentence for the first thing that is wrong."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(sys.argv[1])
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    strangers = {name for name in inside if name.partition("/")[0] not in PACKAGES and ".dist-info/" not in name}
    _refuse(strangers, f"{wheel.name} carries what is no package of ours")
    wanted = {
        path.relative_to(root).as_posix()
        for package in PACKAGES
        for path in (root / package).rglob("*")
        if path.is_file() and (path.suffix == ".py" or path.name.endswith(DATA)) and "__pycache__" not in path.parts
    }
    _refuse({name for name in wanted if "/build/" not in name} - inside, f"{wheel.name} lacks")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    _refuse((wanted | set(IN_SDIST)) - packed, f"{sdist.name} lacks")
    _refuse({name for name in packed if name.startswith(("docs/_build", ".venv", "runs/"))}, f"{sdist.name} carries")
    print(f"{wheel.name}: {len(inside)} files, {wheel.stat().st_size / 1e6:.1f} MB; {sdist.name}: {len(packed)} files")


def _refuse(names: set[str], why: str) -> None:
    if names:
        sys.exit(f"{why}: {', '.join(sorted(names)[:10])}{' ...' if len(names) > 10 else ''}")


if __name__ == "__main__":
    main()
