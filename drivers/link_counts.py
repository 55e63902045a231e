"""What a link counts, for whoever wants to know how good its wire is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class LinkCounts:
    """What happened on a link so far."""

    transactions: int = 0
    damaged: int = 0
    resent: int = 0
    syncs: int = 0
