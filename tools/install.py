"""Sets up the environment whose Python runs this: the locked packages, and the build of torch that the machine can use.

On Linux, PyPI's torch is built for CUDA: 5 GB with its libraries. Where there is no GPU the build for the CPU is
looked for, which lies on an index of torch's own that `uv` knows as its backend `cpu`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
CUDA_PACKAGES = ("nvidia-", "cuda-")
GPU_NODES = ("/dev/nvidia0", "/dev/dxg", "/dev/kfd")
"""What the drivers of NVIDIA, of Windows' Linux, and of AMD make."""
UNSAID = "ignore:Editable installation."
"""setuptools gives the ordinary end of an editable installation eight lines of warning."""


def main() -> None:
    """Installs; exits with one sentence where it cannot."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("wanted", nargs="+", help="what to install, e.g. --editable .[dev]")
    asked.add_argument("--torch", choices=["auto", "cpu", "pip"], default="auto", help="build of torch")
    known, rest = asked.parse_known_args()
    os.environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    pip("install", "--upgrade", "pip")
    if known.torch == "cpu" or (known.torch == "auto" and not has_gpu()):
        small_torch(required=known.torch == "cpu")
    pip("install", *rest, *known.wanted)


def pip(*arguments: str) -> str:
    """Runs pip with the constraints; returns what it printed.

    Raises:
        SystemExit: it failed; its own words are on the terminal.
    """
    line = [sys.executable, "-m", "pip", *arguments[:1], "--quiet", "--constraint", str(CONSTRAINTS), *arguments[1:]]
    filters = ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), UNSAID]))
    told = {**os.environ, "PYTHONWARNINGS": filters}
    ran = subprocess.run(line, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=told)
    if ran.returncode:
        sys.exit(f"set-up stopped: pip {' '.join(arguments)} failed with the words above")
    return ran.stdout


def has_gpu() -> bool:
    """Whether a driver of a GPU that torch can use is at work."""
    return any(Path(node).exists() for node in GPU_NODES) or shutil.which("nvidia-smi") is not None


def small_torch(required: bool) -> None:
    """Installs torch for the CPU, unless torch is installed or pip would take such a build by itself.

    Args:
        required: Stop with a sentence where it cannot be had; otherwise pip's choice is taken.
    """
    if installed_for_cuda():
        if required:
            sys.exit(f"torch for CUDA is installed in {sys.prefix} already: `make clean` first")
        return
    if not would_bring_cuda():
        return
    pip("install", "uv")
    reason = with_uv()
    if reason is None:
        return
    if required:
        sys.exit(f"torch for the CPU cannot be had: {reason}. TORCH=pip takes the build that pip finds (5 GB on Linux)")
    print(f"torch for the CPU cannot be had ({reason}): taking the build that pip finds, 5 GB on Linux")


def installed_for_cuda() -> bool:
    """Whether torch is there, built for CUDA."""
    try:
        return sys.platform == "linux" and _names_cuda(metadata.requires("torch"))
    except metadata.PackageNotFoundError:
        return False


def would_bring_cuda() -> bool:
    """Whether pip, with its own settings, takes a torch for CUDA here; False where torch is installed."""
    if sys.platform != "linux":
        return False
    found = json.loads(pip("install", "--dry-run", "--no-deps", "--report", "-", "torch"))["install"]
    return any(_names_cuda(item["metadata"].get("requires_dist")) for item in found)


def _names_cuda(requirements: list[str] | None) -> bool:
    return any(line.startswith(CUDA_PACKAGES) for line in requirements or ())


def with_uv() -> str | None:
    """Asks uv for its torch of the backend `cpu`; returns why not, or None when it is installed."""
    uv = Path(sysconfig.get_path("scripts")) / "uv"
    line = [str(uv), "pip", "install", "--quiet", "--no-deps", "--python", sys.executable, "--torch-backend", "cpu"]
    ran = subprocess.run(
        [*line, "--constraint", str(CONSTRAINTS), "torch"],
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={"UV_HTTP_RETRIES": "1", **os.environ},
    )
    if ran.returncode == 0:
        return None
    return ran.stderr.strip().splitlines()[-1].strip().removeprefix("cause: ") if ran.stderr.strip() else "uv failed"


if __name__ == "__main__":
    main()
