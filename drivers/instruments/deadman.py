"""An instrument that watches its host: a function inside a TSP box turns its outputs off when the host falls silent.

The 2600B has no watchdog command, but it runs functions of its own, and `trigger.wait(seconds)` holds the queue of
commands until `*TRG` arrives or the time is over (2600B Reference Manual, section 9). So every command ends in the
box's own `hil_watch()`, and begins with the `*TRG` that ends the last one. Each command is answered before the next is
sent: two triggers that arrive together would count as one. While the host computes, a heartbeat keeps the watch going.
"""

from __future__ import annotations

from collections.abc import Sequence

from drivers import watchdog
from drivers.errors import DeviceFault
from drivers.heartbeat import Heartbeat
from drivers.instruments.dialogue import Around, Dialogue
from drivers.instruments.readback import reading

TRIPPED = -3
PRINTED = 1e-5
"""Rounding of the six digits a box prints."""
AROUND = Around(before="*TRG", probe="print(hil_tripped)", after="hil_watch()")


def definition(off: Sequence[str]) -> str:
    """The function, as one line the box takes; it waits for the number that the box was given and said back."""
    return f"function hil_watch() if not trigger.wait(hil_watch_s) then {' '.join(off)} hil_tripped=1 end end"


class Deadman:
    """The watch of one box; armed while an output of it is on.

    Args:
        dialogue: Its session.
        seconds: Longest silence of the host.
        off: Statements that switch its outputs off.
    """

    def __init__(self, dialogue: Dialogue, seconds: float, off: Sequence[str]) -> None:
        self.seconds = seconds
        self._dialogue, self._off = dialogue, off
        self._heartbeat: Heartbeat | None = None

    def arm(self) -> None:
        """Loads the function and begins to watch; call before an output goes on.

        Raises:
            ProtocolViolation: the box would wait for another time than it was told.
        """
        if self._heartbeat is not None:
            return
        self._dialogue.write(f"hil_watch_s={self.seconds:.9g}")
        said = reading(self._dialogue.ask("print(hil_watch_s)"), "the watch", self._dialogue.address)
        watchdog.in_force(self.seconds, said, self._dialogue.address, PRINTED)
        self._dialogue.write(definition(self._off))
        self._dialogue.write("hil_tripped=0 trigger.clear()")
        self._dialogue.barrier()  # a trigger on its way already would be cleared with the old ones
        self._dialogue.surround(AROUND, self.check)
        self._heartbeat = Heartbeat(self._dialogue.probe, self._last_traffic, self.seconds / 4)

    def disarm(self) -> None:
        """Ends the watch; call when all outputs of the box are off."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
            self._heartbeat = None
            self._dialogue.release()

    @property
    def question(self) -> str:
        """Statement to add to a reading, so that its last line says whether the box has switched off; or nothing."""
        return "" if self._heartbeat is None else f" {AROUND.probe}"

    def _last_traffic(self) -> float:
        return self._dialogue.last_traffic

    def check(self, answer: str) -> None:
        """Looks at what the box says of its watch.

        Raises:
            DeviceFault: it has switched its outputs off.
        """
        if reading(answer, "the watch", self._dialogue.address) != 0.0:
            raise DeviceFault(
                TRIPPED,
                "the instrument switched its outputs off",
                asked=f"{self.seconds:g} s without a word from here",
                device=self._dialogue.address,
                todo="The host was stopped or busy for that long; open the rack anew: nothing restarts by itself",
            )
