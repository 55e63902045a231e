"""An instrument model as the registry has it: what is known of it, who drives it, and its virtual twin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from firmware_specs.extras import extra
from firmware_specs.racks.facts import Facts
from firmware_specs.registry import UnknownName, find, names

Part = Callable[..., Any] | str
"""A class, or where it is, `module:Class`: it is imported when an instrument is opened, not when a file is read."""


@dataclass(frozen=True)
class Model:
    """A rack instrument, to be registered as one of `instruments`.

    Attributes:
        facts: Ranges, accuracy, timing, identity.
        driver: `f(dialogue, name, line_hz, facts) -> driver`, whose methods are those of its roles (`drivers.roles`);
            see `drivers.instruments.boxes.BenchInstrument`.
        twin: `f(bench, name, spec, inaccuracy) -> virtual instrument` (`emulator.instruments`), bytes in, bytes out;
            empty: the model works on a real bench only.
    """

    facts: Facts
    driver: Part
    twin: Part = ""

    @property
    def summary(self) -> str:
        """One line for `hil list`."""
        facts = self.facts
        what = {"smu": "source meter", "mainframe": "mainframe: relays, DACs, scanner", "matrix": "switch matrix"}
        spans = [
            f"{ranges[0].full:g} .. {ranges[-1].full:g} {unit}"
            for ranges, unit in ((facts.volts, "V"), (facts.amps, "A"))
            if ranges
        ]
        channels = [f"channels {', '.join(facts.channels)}"] if len(facts.channels) > 1 else []
        twin = [] if self.twin else ["no virtual twin"]
        return "; ".join([what.get(facts.kind, facts.kind), *channels, *spans, *twin])


def model(name: str) -> Model:
    """The instrument model of a name, or of a `module:attribute`.

    Raises:
        ValueError: there is none; the message says what is close.
    """
    try:
        found = find("instruments", name)
    except UnknownName as error:
        raise ValueError(f"unknown instrument model: {error}") from error
    if not isinstance(found, Model):
        raise ValueError(f"{name!r} is a {type(found).__name__}, an instrument is a firmware_specs.racks.Model")
    return found


def models() -> tuple[str, ...]:
    """Names of all instrument models."""
    return tuple(sorted(names("instruments")))


def facts(name: str) -> Facts:
    """Facts of a model; raises as `model`."""
    return model(name).facts


def imported(part: Part) -> Callable[..., Any]:
    """A driver or twin, imported where only its place was given; raises `ExtraMissing`."""
    if not isinstance(part, str):
        return part
    module, _, attribute = part.partition(":")
    with extra("rack", f"the instrument's {attribute}"):
        found: Callable[..., Any] = getattr(import_module(module), attribute)
    return found
