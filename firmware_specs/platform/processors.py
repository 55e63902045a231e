"""What the system tells of its processor: `/proc/cpuinfo` on Linux, `sysctl` on macOS and the BSDs."""

from __future__ import annotations

import contextlib
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
NAMES = ("model name", "cpu", "cpu model", "uarch")
"""Keys under which x86, POWER, MIPS and RISC-V have a name; 64-bit ARM has none."""
NUMBERS = (
    "cpu family", "model", "stepping",
    "CPU implementer", "CPU part", "CPU variant", "CPU revision",
    "mvendorid", "marchid", "mimpid",
)  # fmt: skip
"""Keys of the numbers by which x86, ARM and RISC-V tell models apart."""


@cache
def processor() -> str:
    """The processor's name, with the numbers by which its maker tells models apart where the system has them."""
    try:
        told = CPUINFO.read_text("utf-8", errors="replace")
    except OSError:
        return by_sysctl() or _by_python()
    return by_cpuinfo(told) or _by_python()


def by_cpuinfo(text: str) -> str:
    """Of every kind of core that a text like `/proc/cpuinfo` lists, once; empty where it tells nothing."""
    cores = [_facts(block) for block in text.split("\n\n")]
    cores = [facts for facts in cores if "processor" in facts] or cores[:1]
    return " and ".join(dict.fromkeys(said for said in map(_said, cores) if said))


def by_sysctl(system: str = sys.platform) -> str:
    """What macOS or a BSD calls it; empty where it says nothing."""
    mac = system == "darwin"
    program, key = ("/usr/sbin/sysctl", "machdep.cpu.brand_string") if mac else ("/sbin/sysctl", "hw.model")
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run([program, "-n", key], capture_output=True, timeout=10, check=True)  # noqa: S603 - fixed
        return told.stdout.decode("utf-8", errors="replace").strip()
    return ""


def _facts(block: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in block.splitlines())
    return {name.strip(): fact.strip() for name, _, fact in pairs}


def _said(facts: dict[str, str]) -> str:
    numbers = [f"{name} {facts[name]}" for name in NUMBERS if name in facts]
    name = next((facts[name] for name in NAMES if name in facts), "")
    return " ".join([name or _by_python(), *numbers]) if name or numbers else ""


def _by_python() -> str:
    return platform.processor() or platform.machine()
