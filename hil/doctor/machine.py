"""The build of torch, the device it computes on, and the processor."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

from hil.doctor.finding import Finding

SECTION = "torch and processor"


def look() -> Iterator[Finding]:
    """Torch, device, threads, units of the processor, memory."""
    yield Finding(SECTION, "system", f"{platform.system()} {platform.release()}, {platform.machine()}")
    yield from torch_build()
    yield from processor()


def torch_build() -> Iterator[Finding]:
    """For what torch was built, and where `hil train` computes."""
    import torch

    built = (torch.version.cuda and f"CUDA {torch.version.cuda}") or (torch.version.hip and f"ROCm {torch.version.hip}")
    yield Finding(SECTION, "torch", f"{torch.__version__}, built for {built or 'the CPU'}")
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        mend = "CUDA_VISIBLE_DEVICES= hil train ... computes on the CPU"
        yield Finding(SECTION, "device", f"GPU: {names}", mend=mend)
    elif built and not driver():
        mend = "make clean && make setup TORCH=cpu saves the libraries for CUDA, 5 GB"
        yield Finding(
            SECTION, "device", "CPU; torch is built for a GPU, and no driver of one is here", "note", mend=mend
        )
    elif built:
        mend = "update the GPU's driver, or look whether CUDA_VISIBLE_DEVICES hides it"
        yield Finding(SECTION, "device", "CPU; there is a driver of a GPU, and torch cannot use it", "note", mend=mend)
    else:
        yield Finding(SECTION, "device", "CPU")


def driver() -> bool:
    """Whether this machine has a GPU driver."""
    return Path("/dev/nvidia0").exists() or Path("/dev/kfd").exists() or shutil.which("nvidia-smi") is not None


def processor() -> Iterator[Finding]:
    """Cores, threads that torch would take, vector units, ways of convolutions, memory."""
    import torch

    cores = os.cpu_count() or 1
    process = psutil.Process()
    usable = len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else cores  # macOS has none
    told = os.environ.get("OMP_NUM_THREADS")
    yield Finding(SECTION, "threads", f"{torch.get_num_threads()} of torch on {usable} of {cores} cores"
                  + (f", OMP_NUM_THREADS={told}" if told else ""))  # fmt: skip
    capability = torch.backends.cpu.get_cpu_capability()
    slow = capability in ("DEFAULT", "NO AVX") and platform.machine() in ("x86_64", "AMD64")
    mend = (
        "expect several times the stated times: this processor, or its virtual machine, shows no AVX2" if slow else ""
    )
    yield Finding(SECTION, "vector units", capability, "note" if slow else "ok", mend=mend)
    yield convolutions()
    yield Finding(SECTION, "memory", f"{psutil.virtual_memory().total / 1e9:.1f} GB")


def convolutions() -> Finding:
    """Who chooses how they are formed, and where choices are kept."""
    from hil.counterparts.convolutions import VARIABLE, WANTED, cache_file

    if named := os.environ.get(VARIABLE):
        if named in WANTED:
            return Finding(SECTION, "convolutions", f"{VARIABLE}={named}")
        mend = f"unset {VARIABLE}, or make it one of {', '.join(WANTED)}"
        needed = "reference:, emulator:"
        return Finding(SECTION, "convolutions", f"{VARIABLE}={named:.80}, no such way", "missing", needed, mend)
    file = cache_file()
    where = "kept for no later process: this user has no home" if file.path is None else f"in {file.path}"
    return Finding(SECTION, "convolutions", f"measured, {len(file.read())} choices {where}")
