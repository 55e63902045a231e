"""What an assistant may do to a device that a person has named for it on the command line, and its record.

It goes the way that everything goes: the bench file's limits, the lock, the lease, the chip's budgets. Every act is in
the event log of the folder `assistant`, once before it begins and once with what came of it.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from hil.counterparts.opening.wire import open_crossbar
from hil.measuring.characterize import plan as plans
from hil.measuring.characterize.folder import check
from hil.measuring.characterize.run import characterize
from hil.measuring.characterize.supposed import supposed
from hil.report.characterization import write_report
from hil.watching.events import EventLog

FOLDER = "assistant"
LOOK = ("found",)
"""Items that read cells and write none."""


class NotAllowed(ValueError):
    """A device that the command line did not name for this."""


class Acts:
    """Measures on devices of a bench file.

    Args:
        root: Folder whose `assistant` gets results and the log.
        bench: The bench file.
        measure: Devices whose cells may be read.
        arm: Devices that may be measured with everything, whose cells may lose what they hold.
        visa_library: In place of what the bench file says.
    """

    def __init__(
        self, root: Path, bench: Path, measure: Collection[str], arm: Collection[str], visa_library: str | None = None
    ) -> None:
        self._root, self._bench, self._visa = root / FOLDER, bench, visa_library
        self._measure, self._arm = frozenset(measure) | frozenset(arm), frozenset(arm)
        self._one = threading.Lock()
        self._root.mkdir(parents=True, exist_ok=True)

    def read_cells(self, device: str) -> dict[str, Any]:
        """Reads the cells of a device as they are; nothing is written. Returns mean levels and where the data lie."""
        return self._done("read_cells", device, self._measure, "--measure", LOOK)

    def characterize(self, device: str, items: list[str], size: int = 8) -> dict[str, Any]:
        """Measures items (health, transfer, read_noise, ...) on a region; what its cells hold is lost."""
        return self._done("characterize", device, self._arm, "--arm", items, size)

    def _done(
        self, act: str, device: str, allowed: frozenset[str], option: str, items: Sequence[str], size: int = 8
    ) -> dict[str, Any]:
        with self._one:
            log = EventLog(self._root)
            try:
                log.write("act", act=act, device=device, items=list(items), size=size)
                if device not in allowed:
                    raise NotAllowed(f"{device} may not be used for that: hil mcp {option} {device} would allow it")
                found = self._measured(device, plans.only(plans.usual(size, size), items))
                log.write("done", act=act, device=device, out=found["folder"])
            except BaseException as error:
                log.write("refused" if isinstance(error, NotAllowed) else "fault", act=act, device=device,
                          error=type(error).__name__, text=str(error)[:1000])  # fmt: skip
                raise
            finally:
                log.close()
        return found

    def _measured(self, device: str, plan: plans.Plan) -> dict[str, Any]:
        name = re.sub(r"[^A-Za-z0-9_-]", "_", device)
        out = self._root / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 1000:03d}"
        address = f"bench:{self._bench.absolute()}#{device}"
        check(out)
        with open_crossbar(address, self._visa) as crossbar:
            sheet, _ = supposed(crossbar, address, None)
            measured = characterize(crossbar, plan, out, sheet)
        write_report(measured, out / "report.html")
        return {
            "folder": out.name,
            "figures": [
                {"name": f.name, "measured": str(f.measured), "stated": f.stated, "verdict": str(f.verdict)}
                for f in measured.figures
            ],
            "notes": list(measured.notes),
            "skipped": dict(measured.skipped),
        }
