"""What a run of the conformance suite found."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from hil.conformance.check import Outcome


@dataclass(frozen=True)
class Conformance:
    """What a run of the suite found.

    Attributes:
        device: Address of the device.
        identity: Vendor, model, serial and firmware, or why it could not be read.
        outcomes: One a check, in order.
        stopped: Why the run ended before its end; empty where it did not.
        not_made: Checks that were left out for that.
        pulsed_with: Amplitude and width of its pulses, V and s; None where none was asked for.
    """

    device: str
    identity: str
    outcomes: tuple[Outcome, ...]
    stopped: str = ""
    not_made: int = 0
    pulsed_with: tuple[float, float] | None = None

    @property
    def conforms(self) -> bool:
        """No required check failed, and none was left out."""
        return not self.stopped and not any(
            o.verdict == "failed" and o.check.level == "required" for o in self.outcomes
        )

    def count(self, verdict: str) -> int:
        """Checks with a verdict."""
        return sum(o.verdict == verdict for o in self.outcomes)

    def to_json(self) -> dict[str, Any]:
        """`passed`, `failed`, `skipped` and `checks: [...]`, JSON values only."""
        checks = [
            {
                "name": o.check.name,
                "section": o.check.section,
                "level": o.check.level,
                "demand": o.check.demand,
                "verdict": o.verdict,
                "seen": o.seen,
                "seconds": round(o.seconds, 4),
            }
            for o in self.outcomes
        ]
        counts = {verdict: self.count(verdict) for verdict in ("passed", "failed", "skipped")}
        head = {"device": self.device, "identity": self.identity, "conforms": self.conforms}
        volts, seconds = self.pulsed_with or (None, None)
        pulse = {"amplitude_v": volts, "width_s": seconds}
        return {**head, "stopped": self.stopped, "not_made": self.not_made, "pulse": pulse, **counts, "checks": checks}

    @property
    def summary(self) -> str:
        """One sentence."""
        counts = ", ".join(f"{self.count(v)} {v}" for v in ("passed", "failed", "skipped"))
        left = f", {self.not_made} not made, as they would fail like the last one" if self.stopped else ""
        return f"{counts}{left}: {self.device} {'conforms' if self.conforms else 'does not conform'}"

    @property
    def pulses(self) -> str:
        """What its pulses were, in words."""
        if self.pulsed_with is None:
            return "no pulse was asked for"
        volts, seconds = self.pulsed_with
        return f"pulses had {volts:g} V for {seconds:g} s"

    def to_html(self) -> str:
        """The outcomes as an HTML table."""
        columns = ("check", "section", "level", "what the text demands", "verdict", "seen")
        head = "".join(f"<th>{name}</th>" for name in columns)
        rows = "".join(
            f"<tr><td><code>{escape(o.check.name)}</code></td><td>{escape(o.check.section)}</td><td>{o.check.level}"
            f"</td><td>{escape(o.check.demand)}</td><td class={o.verdict}>{o.verdict}</td>"
            f"<td>{escape(o.seen)}</td></tr>"
            for o in self.outcomes
        )
        return f"<p>{escape(self.summary)}</p><p>{escape(self.pulses)}</p><table><tr>{head}</tr>{rows}</table>"

    def _repr_html_(self) -> str:
        return self.to_html()
