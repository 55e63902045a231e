"""Faults on a virtual wire, each with a rate and a seed: what real cables, adapters and boards do to a dialogue.

A fault strikes a *unit*: a frame on a serial link, a message on a SCPI link.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from emulator.device import Device
from firmware_specs.datasheet.link import LARGEST
from firmware_specs.frame import DELIMITER as FRAME_END
from firmware_specs.scpi import Splitter

KINDS = (
    "lost_request", "lost_reply", "late_reply", "duplicate", "garbage", "bit_flip", "truncation", "split", "stall",
    "disconnect", "reset", "wrong_identity", "nak", "busy",
)  # fmt: skip
LONGEST_GARBAGE = 40
BEHIND_S = 0.001
"""How much later a reply is that has to stay behind another one."""


class FaultSpecError(ValueError):
    """A fault specification that cannot be used."""


@dataclass(frozen=True)
class FaultPlan:
    """How often which fault strikes.

    Attributes:
        rates: Probability of each fault for one unit.
        seed: Of the draws.
        late_s: How late a late reply is, and the longest a split one takes.
        stall_s: How long a stall lasts.
        busy_ms: How long a busy device asks the host to wait.
    """

    rates: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    late_s: float = 0.5
    stall_s: float = 1.0
    busy_ms: int = 5

    def __post_init__(self) -> None:
        for name, rate in self.rates.items():
            if name not in KINDS:
                raise FaultSpecError(f"unknown fault {name!r}; there are {', '.join(KINDS)}")
            if not 0 <= rate <= 1:
                raise FaultSpecError(f"{name}={rate}: a rate is a probability, 0 .. 1")
        if sum(self.rates.values()) > 1:
            raise FaultSpecError(f"the rates add up to {sum(self.rates.values()):g}, at most 1")

    @classmethod
    def parse(cls, text: str) -> FaultPlan:
        """From `lost_reply=0.01,bit_flip=0.02,seed=3,late_s=0.2`.

        Raises:
            FaultSpecError: naming the part that is wrong.
        """
        rates: dict[str, float] = {}
        settings: dict[str, float] = {}
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            name, found, value = part.partition("=")
            name = name.strip().replace("-", "_")
            try:
                number = float(value)
            except ValueError:
                number = float("nan")
            if not found or not np.isfinite(number):
                raise FaultSpecError(f"{part!r}: expected NAME=RATE, seed=N, late_s=S, stall_s=S or busy_ms=N")
            (settings if name in ("seed", "late_s", "stall_s", "busy_ms") else rates)[name] = number
        whole = {name: int(settings.pop(name)) for name in ("seed", "busy_ms") if name in settings}
        return cls(rates, **whole, **settings)  # type: ignore[arg-type]


Cutter = Callable[[bytes], list[bytes]]


def frame_cutter() -> Cutter:
    """Units of a serial link: frames with their delimiter; empty ones are passed on with the next."""
    pending = b""

    def cut(data: bytes) -> list[bytes]:
        nonlocal pending
        *pieces, pending = (pending + data).split(FRAME_END)
        return [piece + FRAME_END for piece in pieces if piece]

    return cut


def message_cutter() -> Cutter:
    """Units of a SCPI link: messages with their LF, which a block may hold, too."""
    splitter = Splitter(LARGEST)
    return lambda data: [message + b"\n" for message in splitter.feed(data) if isinstance(message, bytes)]


class FaultyEndpoint(Protocol):
    """What a fault injector needs of an endpoint."""

    def feed(self, data: bytes) -> bytes:
        """Answer to bytes."""

    def closed(self) -> None:
        """The link went away."""

    def nak(self) -> bytes:
        """An answer that takes nothing: b"" where the protocol has none."""


class Faulty:
    """An endpoint behind a bad wire.

    Args:
        endpoint: The sound one.
        device: What loses power.
        plan: What strikes how often.
        cut: Takes bytes in any portions and gives the units they complete; b"" is none.
        in_order: Replies never overtake each other, as on a TCP connection: what follows a late one is late, too.
            Frames have to bear being overtaken.

    Attributes:
        struck: How often each fault struck.
        later: Sends bytes after some seconds; in process, where no time passes between calls, such bytes come ahead
            of the next answer.
    """

    def __init__(
        self, endpoint: FaultyEndpoint, device: Device, plan: FaultPlan, cut: Cutter, *, in_order: bool = False
    ) -> None:
        self.struck: Counter[str] = Counter()
        self.later: Callable[[float, bytes], None] = self._keep
        self._endpoint = endpoint
        self._device = device
        self._cut = cut
        self._in_order = in_order
        self.change(plan)
        self._kept = b""
        self._stalled_until = 0.0

    def change(self, plan: FaultPlan) -> None:
        """Other faults from now on."""
        self._plan = plan
        self._random = np.random.default_rng(plan.seed)
        self._names = list(plan.rates)
        self._bounds = np.cumsum([plan.rates[name] for name in self._names])

    def feed(self, data: bytes) -> bytes:
        """Answer to bytes, after the faults had their way."""
        out, self._kept = [self._kept], b""
        out += [self._unit(unit) for unit in self._cut(data)]
        return self._through_stall(b"".join(out))

    def closed(self) -> None:
        """The link went away."""
        self._kept = b""
        self._cut(b"\n\0")  # ends what was half received
        self._endpoint.closed()

    def calm(self) -> None:
        """A device clear: what was to come late does not come, and what follows is not late."""
        self._kept = b""
        self._stalled_until = 0.0

    def _keep(self, seconds: float, data: bytes) -> None:
        self._kept += data

    def _unit(self, unit: bytes) -> bytes:
        place = int(np.searchsorted(self._bounds, self._random.random(), side="right"))
        if place == len(self._names):
            return self._endpoint.feed(unit)
        name = self._names[place]
        self.struck[name] += 1
        self._device.journal.note("link", f"fault injected: {name}")
        strike: Callable[[bytes], bytes] = getattr(self, f"_{name}")
        return strike(unit)

    def _through_stall(self, reply: bytes) -> bytes:
        left = self._stalled_until - time.monotonic()
        if left > 0 and reply:
            self.later(left, reply)
            self._stalled_until += BEHIND_S
            return b""
        return reply

    def _lost_request(self, unit: bytes) -> bytes:
        return b""

    def _lost_reply(self, unit: bytes) -> bytes:
        self._endpoint.feed(unit)
        return b""

    def _late_reply(self, unit: bytes) -> bytes:
        reply = self._endpoint.feed(unit)
        if self._in_order:
            self._hold(self._plan.late_s)
            return reply
        self.later(self._plan.late_s, reply)
        return b""

    def _duplicate(self, unit: bytes) -> bytes:
        return self._endpoint.feed(unit) + self._endpoint.feed(unit)

    def _garbage(self, unit: bytes) -> bytes:
        return self._random.bytes(int(self._random.integers(1, LONGEST_GARBAGE))) + self._endpoint.feed(unit)

    def _bit_flip(self, unit: bytes) -> bytes:
        """Flips one bit, of the request or of the reply."""
        if self._random.random() < 0.5:
            return self._endpoint.feed(self._flipped(unit))
        return self._flipped(self._endpoint.feed(unit))

    def _flipped(self, data: bytes) -> bytes:
        if not data:
            return data
        bit = int(self._random.integers(8 * len(data)))
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)

    def _truncation(self, unit: bytes) -> bytes:
        reply = self._endpoint.feed(unit)
        return reply[: int(self._random.integers(len(reply)))] if reply else reply

    def _split(self, unit: bytes) -> bytes:
        reply = self._endpoint.feed(unit)
        place = int(self._random.integers(len(reply) + 1))
        seconds = self._plan.late_s * float(self._random.random()) / 10
        if not self._in_order:
            self.later(seconds, reply[place:])
            return reply[:place]
        self.later(max(0.0, self._stalled_until - time.monotonic()), reply[:place])
        self._hold(seconds)
        return reply[place:]

    def _stall(self, unit: bytes) -> bytes:
        self._hold(self._plan.stall_s)
        return self._endpoint.feed(unit)

    def _hold(self, seconds: float) -> None:
        """Holds replies back for some time."""
        self._stalled_until = max(self._stalled_until, time.monotonic()) + seconds + BEHIND_S

    def _disconnect(self, unit: bytes) -> bytes:
        """Pulls the cable before or after the request was taken."""
        if self._random.random() < 0.5:
            self._endpoint.feed(unit)
        raise ConnectionResetError("fault injected: disconnect")

    def _reset(self, unit: bytes) -> bytes:
        self._endpoint.feed(unit)
        self._device.lose_power()
        return b""

    def _wrong_identity(self, unit: bytes) -> bytes:
        self._device.lose_power(self._device.serial + "-swapped")
        raise ConnectionResetError("fault injected: another device behind the same address")

    def _nak(self, unit: bytes) -> bytes:
        return self._endpoint.nak()

    def _busy(self, unit: bytes) -> bytes:
        self._device.busy_ms = self._plan.busy_ms
        reply = self._endpoint.feed(unit)
        self._device.busy_ms = 0
        return reply
