"""PyMeasure's drivers over our dialogue, so that deadlines, fence and flight recorder hold for them too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymeasure.adapters import Adapter

from drivers.errors import OutOfRange
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.readback import confirm, holds
from drivers.instruments.smu import Source
from drivers.instruments.sound import Sound


class DialogueAdapter(Adapter):
    """What a PyMeasure instrument talks through.

    Args:
        dialogue: The session; whoever opened it closes it.
        settle_s: Longest measurement, added to the deadline of every answer.
    """

    def __init__(self, dialogue: Dialogue, settle_s: float = 0.0) -> None:
        super().__init__()
        self.dialogue = dialogue
        self.settle_s = settle_s

    def _write(self, command: str, **_: Any) -> None:
        self.dialogue.write(command)

    def _read(self, **_: Any) -> str:
        return self.dialogue.read(timeout_s=self.settle_s)

    def _write_bytes(self, content: bytes, **_: Any) -> None:
        raise OutOfRange("bytes that are not a command line cannot be fenced", device=self.dialogue.address)

    def _read_bytes(self, count: int, break_on_termchar: bool, **_: Any) -> bytes:
        raise OutOfRange("blocks are read by Dialogue.ask_block, length-exact", device=self.dialogue.address)

    def flush_read_buffer(self) -> None:
        """Nothing is buffered here: after a timeout the dialogue itself refuses to go on."""


def adapted(kind: Callable[..., Any], dialogue: Dialogue, name: str, settle_s: float = 0.0) -> Any:
    """One of PyMeasure's instruments over a dialogue; what it makes nothing of is an error of ours.

    Args:
        kind: Its class.
        dialogue: The session.
        name: As the rack calls it, for errors.
        settle_s: Longest measurement.
    """
    return Sound(kind(DialogueAdapter(dialogue, settle_s)), name, dialogue)


def set_level(maintained: Any, source: Source, level: float) -> None:
    """Set-point of one of PyMeasure's SourceMeters."""
    setattr(maintained, "source_voltage" if source == "volts" else "source_current", level)


def set_up_source(maintained: Any, source: Source, full: float, limit: float, measured: float, name: str) -> None:
    """Range, level 0, compliance and measurement range by the properties PyMeasure's SourceMeters share; read back.

    Args:
        maintained: PyMeasure's instrument.
        source: What is sourced.
        full: Source range, volts or amperes.
        limit: Compliance, in the other unit.
        measured: Measurement range, in the other unit.
        name: Terminal, for errors.
    """
    mine, other = ("voltage", "current") if source == "volts" else ("current", "voltage")
    setattr(maintained, f"source_{mine}_range", full)
    setattr(maintained, f"source_{mine}", 0.0)
    setattr(maintained, f"compliance_{other}", limit)
    confirm("the compliance", limit, getattr(maintained, f"compliance_{other}"), name)
    setattr(maintained, f"{other}_range", measured)
    holds(f"the {other} range", measured, getattr(maintained, f"{other}_range"), name)
