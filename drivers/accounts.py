"""What an open device did for this session, and the files in which that goes on: of its life, of a run."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from drivers.chip_ledger import ChipLedger, Joules, Pulses, ledger_folder
from drivers.deed_file import DamagedDeeds, DeedFile, UnderWay
from drivers.errors import DeviceError, DeviceFault, OutOfRange
from firmware_specs.deeds import NOTHING, Deeds, Tally

T = TypeVar("T")
_LOG = logging.getLogger(__name__)


class Accounts:
    """Counts requests before they go out, and deeds when the reply is there.

    Args:
        boot: The device's boot number.
        executed: Transactions it had executed before this session, and this session's so far; None where its protocol
            does not say.
        sent: Transactions of this session so far.
    """

    def __init__(self, boot: int, executed: int | None, sent: Callable[[], int | None]) -> None:
        self.done = Tally()
        self._boot, self._sent = boot, sent
        already = sent()
        self._earlier = -1 if executed is None or already is None else max(0, executed - already)
        self._files: list[DeedFile] = []

    def count_into(self, file: DeedFile) -> None:
        """From now on a file counts along; of this session it gets what was done so far.

        What an earlier process left under way is settled first.
        """
        file.resolve(self._boot, self._earlier)
        if (so_far := self.done.total) != NOTHING:
            file.add(so_far)
        self._files.append(file)

    def count_no_more(self, file: DeedFile) -> None:
        """A file stays as it is."""
        self._files = [kept for kept in self._files if kept is not file]

    def add(self, deeds: Deeds) -> None:
        """Something that is no request was found out."""
        self.done.add(deeds)
        for file in self._files:
            file.add(deeds)

    def run(self, asked: Sequence[Deeds], action: Callable[[], T], also: Callable[[T], Deeds] | None = None) -> T:
        """Does something and counts it.

        Args:
            asked: Of every request, all but the last alike.
            action: Sends them and waits for the replies.
            also: What only the reply says.
        """
        self._begin(asked)
        try:
            found = action()
        except (DeviceFault, OutOfRange):  # refused: nothing was done
            for file in self._files:
                file.add(NOTHING)
            raise
        deeds = sum(asked[1:], start=asked[0])
        deeds = deeds if also is None else deeds + also(found)
        self.add(deeds)
        return found

    def flush(self) -> None:
        """Puts the files on disk."""
        for file in self._files:
            file.flush()

    def _begin(self, asked: Sequence[Deeds]) -> None:
        sent = self._sent()
        before = -1 if sent is None or self._earlier < 0 else self._earlier + sent
        for file in self._files:
            file.resolve(self._boot, -1)  # a reply was lost: nobody asked the device since
            file.begin(UnderWay(self._boot, before, len(asked), asked[0], asked[-1]))


def life_file(chip: str, folder: Path | None = None) -> Path:
    """Where all that a chip did is counted: beside what its cells had, see `drivers.chip_ledger`."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", chip).strip("-")[:60]
    digest = hashlib.sha256(chip.encode(errors="surrogateescape")).hexdigest()[:12]
    return (folder or ledger_folder()) / f"{readable}-{digest}.deeds"


def of_life(chip: str) -> DeedFile | None:
    """The file of a chip's life; None, and a warning, where it cannot be had: counting is no reason not to work."""
    try:
        return DeedFile(life_file(chip))
    except (OSError, DamagedDeeds) as error:
        _LOG.warning("what %s does is not added to its life: %s", chip, error)
        return None


def copied(chip: str, spent: Mapping[str, tuple[Pulses, Joules]]) -> None:
    """Leaves a copy of what a chip counts cell by cell beside its life, to be looked at; a warning where it cannot."""
    try:
        ChipLedger(chip).keep_all(spent)
    except DeviceError as error:
        _LOG.warning("what the cells of %s have had is not copied: %s", chip, error)
