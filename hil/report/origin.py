"""Where a run comes from and why it ended: the first line of its report, and its last section."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from hil.report.page import Facts, Fold, Part, Table, Text
from hil.watching.events import last

NAMES = ("started", "from_step", "user", "host", "platform", "python", "torch", "threads", "address", "seed")
MOST_SESSIONS = 30


def ending(folder: Path) -> str:
    """What made a run stop, when, and where it was; that it goes on, or was cut off, where it has not ended."""
    ended, fault = last(folder, "ended", "session"), last(folder, "fault")
    if ended is None or ended["kind"] != "ended":
        known = last(folder, "step") or ended
        return "" if known is None else f"It has not ended: the last word is of {_clock(known['t'])}."
    why = str(ended.get("why") or "unknown")
    if fault is not None and why in ("failed", "interrupted") and fault["t"] <= ended["t"] + 1:
        why = f"{why}: {fault.get('error')}: {fault.get('text')}"
    return f"Stopped at step {ended.get('step', '?')}, {_clock(ended['t'])}: {why}"


def parts(sessions: list[dict[str, Any]], config: Path) -> list[Part]:
    """Who ran it, where, with what: the last session as a table, every start and resume, the experiment."""
    found: list[Part] = []
    if sessions:
        now = sessions[-1]
        facts = [(name.replace("_", " "), str(now[name])) for name in NAMES if name in now]
        facts += [row for key in ("code", "data") for row in _flat(key, now.get(key))]
        facts += _flat("counterpart", now.get("counterpart"), leave=("datasheet",))
        found.append(Facts([("sessions", str(len(sessions))), *facts]))
        if len(sessions) > 1:
            head = ["session", "started", "from step", "user", "host", "address"]
            keys = ("started", "from_step", "user", "host", "address")
            rows = [[str(n), *(str(s.get(k, "-")) for k in keys)] for n, s in enumerate(sessions, 1)]
            found.append(Table(head, rows[-MOST_SESSIONS:], f"{len(sessions)} sessions: every start and resume."))
        found.append(Fold("All sessions and the counterpart", json.dumps(sessions, indent=2)))
    if config.is_file():
        found.append(Fold("Experiment", config.read_text("utf-8", errors="replace")))
    return found or [Text("It does not say where it comes from.")]


def _flat(name: str, value: object, leave: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """A table of tables as rows, `name key`; what is longer than a line has is left to the whole text."""
    if not isinstance(value, dict):
        return [] if value is None else [(name, str(value))]
    rows = []
    for key, inner in value.items():
        if key not in leave:
            rows += _flat(f"{name} {str(key).replace('_', ' ')}", inner)
    return [(key, text[:200]) for key, text in rows]


def _clock(t: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(t))
