"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Verdict = Literal["ok", "note", "missing", "wrong"]
"""What a look found: as it should be, good to know, not there, not supported."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        section: Heading it stands under.
        name: What it is.
        value: What this machine has.
        verdict: `ok`; `note` (good to know); `missing` (what is named in `needed_for` does not work); `wrong` (the
            whole program is not supported like this).
        needed_for: Commands or addresses that need it; empty for everything.
        mend: The line that would mend it; empty where there is nothing to mend.
    """

    section: str
    name: str
    value: str
    verdict: Verdict = "ok"
    needed_for: str = ""
    mend: str = ""

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)
