"""Runs ngspice on a netlist and reads the node voltages back."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from emulator import netlist
from emulator.netlist import Circuit, Floats


class SpiceError(RuntimeError):
    """Ngspice is missing or failed; the message carries the end of its output."""


def available() -> bool:
    """True where ngspice is installed."""
    return shutil.which("ngspice") is not None


def solve(circuit: Circuit, drives_v: Floats, nudges_a: Floats | None = None, timeout_s: float = 300.0) -> Floats:
    """Node voltages of every operating point, (points, nodes) in the order of `circuit.nodes`.

    Args:
        circuit: The network.
        drives_v: (points, sources).
        nudges_a: (points, units of the last layer).
        timeout_s: Given up after so long.

    Raises:
        SpiceError: not installed, timed out, or points are missing from its output.
    """
    program = shutil.which("ngspice")
    if program is None:
        raise SpiceError("ngspice is not installed; on Debian: apt-get install ngspice")
    with tempfile.TemporaryDirectory() as folder:
        text = netlist.write(circuit, drives_v, nudges_a)
        (Path(folder) / "array.cir").write_text(text, "utf-8")
        try:
            done = subprocess.run(  # noqa: S603 - a fixed program on a file of ours
                [program, "-b", "array.cir"],
                cwd=folder,
                stdin=subprocess.DEVNULL,  # it would ask a terminal, and be stopped for that in the background
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise SpiceError(f"ngspice did not finish {len(drives_v)} points in {timeout_s} s") from error
        raw = Path(folder) / "points.raw"
        plots = read_raw(raw.read_bytes()) if raw.exists() else []
    if len(plots) != len(drives_v):
        tail = (done.stdout + done.stderr)[-800:]
        raise SpiceError(f"ngspice solved {len(plots)} of {len(drives_v)} points: {tail}")
    return np.array([[plot[f"v({node})"] for node in circuit.nodes] for plot in plots])


def read_raw(content: bytes) -> list[dict[str, float]]:
    """Single-point plots of a binary raw file: a text header a plot, then its values as doubles."""
    plots, position = [], 0
    marker = b"Binary:\n"
    while (start := content.find(marker, position)) >= 0:
        header = content[position:start].decode()
        names = [line.split()[1].lower() for line in header.split("Variables:\n")[1].splitlines()]
        values = np.frombuffer(content, "<f8", count=len(names), offset=start + len(marker))
        plots.append(dict(zip(names, values.tolist(), strict=True)))
        position = start + len(marker) + 8 * len(names)
    return plots
