"""Leaving a rack: every output off and asked for, a lost instrument tried once more, what may still be on named.

What turns an output off when nobody can reach it differs from instrument to instrument, so the sentence about it is
made from the instrument at hand and never from what another one could do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from drivers.errors import DeviceError
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.fence import Fence
from drivers.instruments.opening import open_instrument
from drivers.instruments.sound import NONSENSE
from drivers.transport import Transport
from firmware_specs.racks import Rack
from firmware_specs.racks.wiring import Instrument

ANSWER_S = 0.5
"""How long an instrument that is being left may take for an answer."""
REOPEN_S = 1.0
"""How long it is tried to reach a lost one again."""

Connect = Callable[[str, Instrument, float], Transport]


def dacs_of(rack: Rack) -> dict[str, list[str]]:
    """Channels that drive a line and are not source-measure channels, by box."""
    found: dict[str, list[str]] = {}
    for box, _, channel in sorted(terminal.partition(".") for terminal in set(rack.wiring.direct.values())):
        found.setdefault(box, []).append(channel)
    return found


class Leaving:
    """Switches the instruments of a rack off one by one, and looks.

    Args:
        instruments: What the bench file says of them.
        boxes: The opened ones, by name.
        fences: Their fences.
        dacs: Channels of each box that drive a line and are not source-measure channels.
        connect: Opens a transport to an instrument within so many seconds.
        watchdog_s: What was asked of instruments that watch their host.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        boxes: Mapping[str, Any],
        fences: Mapping[str, Fence],
        dacs: Mapping[str, Sequence[str]],
        connect: Connect,
        watchdog_s: float,
    ) -> None:
        self._instruments, self._boxes, self._fences, self._dacs = instruments, boxes, fences, dacs
        self._connect, self._watchdog_s = connect, watchdog_s

    def switch_off(self) -> None:
        """Outputs off, then relays open, now, whatever is broken; asks nothing."""
        for box in sorted(self._boxes.values(), key=lambda box: hasattr(box, "open_all")):
            with contextlib.suppress(DeviceError):
                box.safe()

    def still_on(self, known: Mapping[str, Sequence[str]]) -> list[str]:
        """After `switch_off`: a sentence for every instrument whose outputs may be on.

        Args:
            known: Outputs that were on before, by box.
        """
        found = []
        for name, box in self._boxes.items():
            on = self._on(name, box)
            if on is None:
                on = self._reached_again(name) if known.get(name) else []
            if on is None:
                found.append(self._sentence(name, known[name], "does not answer"))
            elif on:
                found.append(self._sentence(name, on, "says that they are on"))
        return found

    def _on(self, name: str, box: Any) -> list[str] | None:
        """What it says is on; None where it says nothing that can be believed."""
        try:
            with box.dialogue.within(ANSWER_S):
                return list(box.left_on(self._dacs.get(name, ())))
        except (DeviceError, *NONSENSE):
            return None

    def _reached_again(self, name: str) -> list[str] | None:
        """One bounded attempt over a new link: identity, off, question."""
        spec, old = self._instruments[name], self._boxes[name]
        old.close()  # many an instrument takes one connection
        try:
            wire = self._connect(name, spec, REOPEN_S)
        except DeviceError:
            return None
        patience_s = self._watchdog_s if spec.facts.watch else 0.0
        try:
            box = open_instrument(
                Dialogue(wire, self._fences[name], timeout_s=ANSWER_S, end=spec.facts.ends),
                name,
                spec,
                old.line_hz,
                patience_s,
            )
            box.safe()
            return self._on(name, box)
        except (DeviceError, *NONSENSE):
            return None
        finally:
            wire.close()

    def _sentence(self, name: str, outputs: Sequence[str], why: str) -> str:
        spec = self._instruments[name]
        which = ", ".join(f"{name}.{output}" for output in outputs)
        where = f" at {spec.address}" if spec.address else ""
        if spec.facts.watch:
            last = f"it turns them off by itself {self._watchdog_s:g} s after the last sign of life"
        else:
            last = "it has no watchdog: they stay on until somebody switches them off"
        return f"{which} may still be on: {name} ({spec.model}{where}) {why}; {last}"
