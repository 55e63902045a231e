"""Bytes of an environment's packages beside torch and what torch itself needs, compiled files left out.

Usage: beside_torch.py PYTHON, of the environment.
"""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOOLS = {"pip", "uv"}
CUDA = ("nvidia-", "cuda-", "triton")
"""What torch brings on Linux through extras of its own packages."""


def main() -> None:
    """Prints megabytes, and the heaviest packages."""
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    said = subprocess.run([sys.argv[1], "-c", where], stdout=subprocess.PIPE, encoding="utf-8", check=True)
    folder = said.stdout.strip()
    there = {canonicalize_name(found.name): found for found in metadata.distributions(path=[folder])}
    beside = there.keys() - needs("torch", there) - TOOLS
    sizes = {name: size(there[name]) for name in beside if not name.startswith(CUDA)}
    heaviest = ", ".join(f"{name} {sizes[name] / 1e6:.0f}" for name in sorted(sizes, key=sizes.__getitem__)[:-7:-1])
    print(f"{sum(sizes.values()) / 1e6:.1f} MB in {len(sizes)} packages beside torch and what it needs ({heaviest})")


def needs(name: str, there: dict[str, metadata.Distribution]) -> set[str]:
    """A package and all that it asks for, directly or not."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found or name not in there:
            continue
        found.add(name)
        asked = map(Requirement, there[name].requires or ())
        waiting += [r.name for r in asked if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


def size(package: metadata.Distribution) -> int:
    """Bytes of its files."""
    paths = (Path(str(package.locate_file(file))) for file in package.files or ())
    return sum(path.stat().st_size for path in paths if path.suffix != ".pyc" and path.is_file())


if __name__ == "__main__":
    main()
