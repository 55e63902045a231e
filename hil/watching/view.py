"""A run as those who watch it see it: its events, read as far as they go, in a bounded amount of memory."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drivers.owner_file import holder_of
from hil.training.run import marked
from hil.training.run.documents import DocumentError
from hil.watching import ledger, lines, picture
from hil.watching.events import Event, Follower
from hil.watching.thin import Thin

CURVES = (
    "loss",
    "accuracy",
    "mean_squared_error",
    "settled",
    "clipped",
    "rails",
    "iterations",
    "gradient_norm",
    "cosine",
)
AT_ONCE = 4 << 20
"""Bytes of a log that are read before somebody is answered: a long one is caught up with in several looks."""
FRESH_S = 0.5
EPOCHS = 400
SLOPE = 60
"""Events over which speed is taken."""
PICTURE_BYTES = 4 << 20


class RunView:
    """What is known of one run.

    Args:
        folder: Of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._follower = Follower(folder)
        self._series = Thin()
        self._epochs: deque[Event] = deque(maxlen=EPOCHS)
        self._pace: deque[tuple[float, float]] = deque(maxlen=SLOPE)
        self._last: dict[str, Event] = {}
        self._looked, self._said = 0.0, dict[str, Any]()
        self._written: tuple[dict[str, Any], bytes] | None = None

    def now(self) -> dict[str, Any]:
        """The run as JSON values; looked at anew at most twice a second, however many ask."""
        with self._lock:
            if time.monotonic() - self._looked >= FRESH_S:
                for event in self._follower.new(AT_ONCE):
                    self._take(event)
                self._said = self._document()
                self._looked = time.monotonic()
            return self._said

    def written(self) -> bytes:
        """The same as JSON text, written once for all who ask."""
        said = self.now()
        with self._lock:
            if self._written is None or self._written[0] is not said:
                self._written = said, json.dumps(said, separators=(",", ":"), allow_nan=False).encode()
            return self._written[1]

    def brief(self) -> dict[str, Any]:
        """The same without curves."""
        return {key: value for key, value in self.now().items() if key not in ("series", "epochs", "names")}

    def _take(self, event: Event) -> None:
        kind = event["kind"]
        if kind == "session":
            self._pace.clear()
            self._last.pop("ended", None)
        if kind == "step":
            self._series.add([event["t"], _number(event.get("step")), *(_number(event.get(c)) for c in CURVES)])
            if (step := _number(event.get("step"))) is not None:
                self._pace.append((event["t"], step))
        if kind == "epoch":
            self._epochs.append({k: v for k, v in event.items() if k == "kind" or _number(v) is not None})
        self._last[str(kind)[:40]] = event

    def _document(self) -> dict[str, Any]:
        session, step, ended = (self._last.get(kind, {}) for kind in ("session", "step", "ended"))
        state, why = self._state(ended)
        total = _number(session.get("epochs")) or 0, _number(session.get("batches")) or 0
        epoch = max(_number(event.get("epoch")) or 0 for event in (step, self._last.get("epoch", {})))
        done = _number(step.get("step")) or _number(session.get("from_step")) or 0
        if (fault := self._last.get("fault")) is not None:
            fault = fault | {"earlier": bool(fault["t"] < session.get("t", 0.0))}
        stage = self._last.get("stage", {}).get("name", "training") if state == "running" else None
        return {
            "kind": "run", "name": self.folder.name, "title": session.get("title") or self.folder.name,
            "address": session.get("device"), "state": state, "why": why, "stage": stage,
            "step": done, "steps": total[0] * total[1], "epoch": epoch,
            "epochs_asked": total[0],
            "eta_s": self._eta_s(done, total[0] * total[1]) if state == "running" else None,
            "now": {name: value for name in CURVES if (value := _number(step.get(name))) is not None},
            "updated": step.get("t") or session.get("t"), "device": self._last.get("device"),
            "fault": fault, "ledger": self._ledger(), "calibration": self._calibration(),
            "names": ["t", "step", *CURVES], "series": self._series.columns(), "epochs": list(self._epochs),
        }  # fmt: skip

    def _state(self, ended: Event) -> tuple[str, str]:
        if ended:
            return "ended", str(ended.get("why") or "")[:500]
        if holder_of(self.folder / marked.LOCK) is not None:
            return "running", ""
        return (
            ("lost", "its process is gone and left no word: killed, or the power failed") if self._last else ("new", "")
        )

    def _eta_s(self, done: float, steps: float) -> float | None:
        if len(self._pace) < 2 or self._pace[-1][1] <= self._pace[0][1]:
            return None
        (t0, s0), (t1, s1) = self._pace[0], self._pace[-1]
        return max(0.0, (steps - done) * (t1 - t0) / (s1 - s0))

    def _ledger(self) -> dict[str, Any] | None:
        try:
            found = ledger.of_run(self.folder)
        except DocumentError as error:
            return {"damaged": str(error)}
        if not found.counted:
            return None
        return {
            "done": lines.counted(found.total), "joules": lines.joules(found), "wear": lines.wear(found),
            "shares": lines.shares(found), "digital": lines.digital(found), "most_pulses": found.most_pulses,
            "most_energy_j": found.most_energy_j,
        }  # fmt: skip

    def _calibration(self) -> dict[str, Any] | None:
        try:
            sessions = ledger.documents.sessions(self.folder / "provenance.json")
        except DocumentError:
            return None
        said = sessions[-1].get("counterpart") if sessions else None
        found = said.get("calibration") if isinstance(said, dict) else None
        return _aged(found, sessions[-1].get("started")) if isinstance(found, dict) else None


def _aged(calibration: dict[str, Any], started: object) -> dict[str, Any]:
    """What provenance says of a calibration, its age brought forward from when the session began to now."""
    age = _number(calibration.get("age_days"))
    try:
        began = datetime.fromisoformat(str(started))
        since = (datetime.now(UTC) - began).total_seconds() / 86400
    except (ValueError, TypeError):  # no time, or one without its zone
        return calibration
    return calibration if age is None else calibration | {"age_days": round(age + max(0.0, since), 3)}


def picture_of(folder: Path) -> dict[str, Any]:
    """States of the last batch and maps of the cells; empty where there are none, or none that read back."""
    path = folder / picture.NAME
    try:
        if path.stat().st_size > PICTURE_BYTES:
            return {}
        found = json.loads(path.read_bytes(), parse_constant=lambda _: None)
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(value: object) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e100
    return value if known else None  # type: ignore[return-value]
