"""Flash and RAM of the Cortex-M3 image from `size -A`: what the firmware takes, without the software array's memory."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

FLASH = (".text", ".ARM.exidx", ".data")
RAM = (".data", ".bss", ".stack")


class Sizes(NamedTuple):
    """Bytes of an image; `array` is the software array's cells, which a real board has outside."""

    flash: int
    ram: int
    array: int


def sizes(image: Path, tool: str = "arm-none-eabi-size") -> Sizes:
    """Reads an image's sections.

    Raises:
        OSError: there is no such tool. subprocess.CalledProcessError: it cannot read the image.
    """
    command = [tool, "-A", str(image)]
    listed = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True).stdout  # noqa: S603
    rows = [line.split() for line in listed.splitlines()]
    found = {row[0]: int(row[1]) for row in rows if len(row) == 3 and row[1].isdigit()}

    def total(names: tuple[str, ...]) -> int:
        return sum(found.get(name, 0) for name in names)

    return Sizes(total(FLASH), total(RAM), found.get(".chip", 0))


def table(by_frames: dict[int, Sizes]) -> str:
    """The table of the page "your board in an afternoon"."""
    lines = ["| longest message | flash | RAM |", "|---|---|---|"]
    for frames, found in by_frames.items():
        message = f"{frames} frame{'s' if frames > 1 else ''}, {4056 * frames:,} bytes"
        lines.append(f"| {message} | {found.flash / 1024:.1f} KiB | {found.ram / 1024:.1f} KiB |")
    return "\n".join(lines)
