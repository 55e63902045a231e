"""Scripts that are loaded line by line: `loadscript NAME`, its lines, `endscript`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from emulator.instruments.refused import Refused

LIMIT = 1 << 20
"""Characters of one script."""
_LOAD = re.compile(r"load(andrun)?script\b\s*(\w*)\s*$", re.IGNORECASE)


@dataclass
class Loading:
    """A script that is being loaded.

    Attributes:
        run: It is run when it is whole.
        name: It becomes a function of that name, and `NAME.run`; without one the anonymous script.
        lines: As far as they have come.
    """

    run: bool
    name: str
    lines: list[str] = field(default_factory=list)

    @classmethod
    def begun(cls, line: str) -> Loading | None:
        """The script that a line begins; None where it begins none."""
        found = _LOAD.match(line)
        return cls(bool(found[1]), found[2]) if found else None

    def take(self, line: str) -> list[str] | None:
        """Takes a line; at `endscript` what is to be run now, before that None.

        Raises:
            Refused: it becomes too long.
        """
        if line.lower() != "endscript":
            self.lines.append(line)
            if sum(map(len, self.lines)) > LIMIT:
                raise Refused(-223, "Too much data")
            return None
        text = "\n".join(self.lines)
        kept = f"{self.name} = script_of(function(...)\n{text}\nend)"
        anonymous = f"script_anonymous = function(...)\n{text}\nend"
        return [kept if self.name else anonymous, *([text] if self.run else [])]
