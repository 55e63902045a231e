"""The reference firmware in C, as tests build and run it."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock


class CBoards:
    """The reference firmware in C, built outside the source tree once for all workers; other sources for one."""

    def __init__(self, folder, own):
        self.folder, self._own = folder, own
        folder.mkdir(exist_ok=True)

    def make(self, *wanted, name="build", sources=None):
        """Runs make, into a folder whose path it gives; skips where make or a compiler is missing."""
        import firmware_specs.firmware

        folder = (self._own if sources else self.folder) / name
        sources = sources or Path(firmware_specs.firmware.__file__).parent
        cc = next((cc for cc in (os.environ.get("CC"), "cc", "gcc", "clang") if cc and shutil.which(cc)), None)
        options = []
        if cc is None:
            pytest.importorskip("ziglang", reason="no C compiler: cc, gcc, clang or ziglang")
            cc, options = f"{sys.executable} -m ziglang cc", ["SANITIZERS=undefined"]
        if shutil.which("make") is None:
            pytest.skip("no make")
        # to compile well takes three times as long, and most boards run for a moment
        options = ["OPTIMIZED=-O0", "CAREFUL=-O0", *options, *wanted]
        command = ["make", "-s", "-C", str(sources), f"BUILD={folder}", f"CC={cc}", *options]
        with FileLock(f"{folder}.lock"):
            done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return folder

    @contextlib.contextmanager
    def running(self, program, *options):
        """A board as a process; its address. What a sanitizer finds fails the test."""
        process = subprocess.Popen([program, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            yield process.stdout.readline().strip()
            ended = process.poll()
        finally:
            process.terminate()
            said = process.communicate()[1]
        assert ended is None and not said, f"the board ended with {ended}: {said[:3000]}"

    def image(self, frames):
        """A Cortex-M3's program for QEMU, by frames of its longest message; skips where there is no compiler for it."""
        if shutil.which("arm-none-eabi-gcc") is None:
            pytest.skip("no compiler for Cortex-M3: apt-get install gcc-arm-none-eabi")
        return self.make("mps2", f"FRAMES={frames}", name=f"mps2-{frames}") / "board.elf"

    @contextlib.contextmanager
    def on_qemu(self, frames):
        """An emulated Cortex-M3 that runs the firmware; the pseudo-terminal of its UART."""
        image = self.image(frames)
        if shutil.which("qemu-system-arm") is None:
            pytest.skip("no emulated Cortex-M3: apt-get install qemu-system-arm")
        command = ["qemu-system-arm", "-M", "mps2-an385", "-display", "none", "-monitor", "none", "-serial", "pty"]
        process = subprocess.Popen(
            [*command, "-kernel", image], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        try:
            yield re.search(r"redirected to (\S+)", process.stdout.readline())[1]
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    @contextlib.contextmanager
    def wire(self, program, **options):
        """A wire to a board on a socket; by default the one with sanitizers."""
        from hil.counterparts.opening.wire import open_wire

        with self.running(program, "--tcp", "0", **options) as address, open_wire(address) as wire:
            yield wire
