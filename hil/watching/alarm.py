"""Tells somebody that a run is over: a webhook or a command of the bench file, when outputs are off again.

A command is code, and a bench file may come from anywhere: it is run only from a file that belongs to this user and
that nobody else may write, as ssh does with its own. Nothing an alarm does or fails to do changes how the run ended.
"""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib import request
from urllib.error import HTTPError

from drivers.chip_ledger import ledger_folder
from drivers.errors import DeviceError, DeviceFault, LeaseOver, LinkError
from firmware_specs import platform
from firmware_specs.codes import ErrorCode
from firmware_specs.printable import printable
from hil.counterparts.opening.bench_file import Alarm, BenchFileError, load
from hil.watching.events import last

MOST_TEXT = 1000


def of_address(address: str) -> tuple[Path, Alarm] | None:
    """The bench file of an address and its alarm; None where there is none.

    Raises:
        BenchFileError: the file is refused.
    """
    if not address.startswith("bench:"):
        return None
    path = Path(address.removeprefix("bench:").rpartition("#")[0])
    alarm = load(path).alarm
    return None if alarm is None else (path, alarm)


def kind_of(error: BaseException) -> str:
    """What an error that ended a run is to those who are told: `trip`, `lost`, `stop` or `failed`."""
    if isinstance(error, KeyboardInterrupt):
        return "stop"
    if isinstance(error, LeaseOver) or (isinstance(error, DeviceFault) and error.code == ErrorCode.TRIPPED):
        return "trip"
    if isinstance(error, LinkError):
        return "lost"
    return "trip" if isinstance(error, DeviceError) and "trip" in str(error).lower() else "failed"


def of_run(address: str, folder: Path, since: float) -> str | None:
    """Tells who wants to be told how a run ended; what became of it, None where nobody is to be told.

    Args:
        address: Of its counterpart.
        folder: Of the run.
        since: Seconds since 1970 when this session of it began.
    """
    try:
        found, ended = of_address(address), last(folder, "ended")
    except (BenchFileError, OSError) as error:
        return f"alarm: {error}"
    if found is None or ended is None or ended["t"] < since:
        return None
    told = {**ended, "run": str(folder.absolute()), "address": address, "host": socket.gethostname()}
    return f"alarm: {sound(*found, told)}"


def sound(path: Path, alarm: Alarm, event: dict[str, Any]) -> str:
    """Sends an alarm, unless one of its kind went out a short while ago; what became of it, in words.

    Args:
        path: The bench file.
        alarm: What it says.
        event: What is told; `alarm` in it is the kind.
    """
    kind = str(event.get("alarm", "failed"))
    if kind not in alarm.on:
        return f"{kind}: nobody asked to be told"
    if not _due(path, kind, alarm.every_s):
        return f"{kind}: one went out less than {alarm.every_s:g} s ago"
    told = [
        *([_posted(alarm.webhook, alarm.timeout_s, event)] if alarm.webhook else []),
        *([_run(path, alarm, event)] if alarm.command else []),
    ]
    return f"{kind}: {'; '.join(told)}"


def _posted(url: str, timeout_s: float, event: dict[str, Any]) -> str:
    asked = request.Request(  # noqa: S310 - the bench file's schema takes http and https only
        url, json.dumps(event).encode(), {"content-type": "application/json", "user-agent": "crossbar-hil"}
    )
    try:
        with _opener().open(asked, timeout=timeout_s) as reply:
            return f"the webhook answered {reply.status}"
    except (OSError, ValueError) as error:
        if isinstance(error, HTTPError):
            error.close()  # it is the answer, too
        return f"the webhook failed: {printable(str(error), MOST_TEXT)}"


def _opener() -> request.OpenerDirector:
    """Follows no redirection: an alarm goes where the bench file says, or nowhere."""

    class Stay(request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    return request.build_opener(Stay)


def _run(path: Path, alarm: Alarm, event: dict[str, Any]) -> str:
    if (why := _not_ours(path)) is not None:
        return f"the command was not run: {why}"
    try:
        done = subprocess.run(  # noqa: S603 - a list of this user's own, no shell
            list(alarm.command),
            input=json.dumps(event).encode(),
            capture_output=True,
            timeout=alarm.timeout_s,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"the command failed: {printable(str(error), MOST_TEXT)}"
    said = f": {printable(done.stderr.decode(errors='replace'), 200)}" if done.returncode else ""
    return f"the command ended with {done.returncode}{said}"


def _not_ours(path: Path) -> str | None:
    """Why a bench file's command is not to be run; None where the file is this user's alone."""
    found = path.stat()
    if not platform.is_mine(found):
        return f"{path} belongs to somebody else"
    if platform.others_may_write(found):
        return f"others may write {path}: chmod go-w {path}"
    return None


def _due(path: Path, kind: str, every_s: float) -> bool:
    """Notes an alarm where none of its kind went out for so long, in whichever process."""
    digest = hashlib.sha256(str(path.absolute()).encode(errors="surrogateescape")).hexdigest()[:12]
    note = ledger_folder().parent / "alarms" / f"{digest}-{kind}"
    try:
        if time.time() - note.stat().st_mtime < every_s:
            return False
    except OSError:
        pass
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{path}\n", encoding="utf-8")
    except OSError:
        pass
    return True
