"""How the firmware says no."""

from __future__ import annotations

from firmware_specs.codes import ErrorCode


class Refused(Exception):
    """A request that is refused or failed: what an ERROR reply carries (PROTOCOL.md section 8).

    Attributes:
        code: Which error.
        text: What was wrong, and what would be right.
        detail: Meaning depends on the code.
    """

    def __init__(self, code: ErrorCode, text: str, detail: int = 0) -> None:
        super().__init__(f"{code.name} ({detail}): {text}")
        self.code = code
        self.text = text
        self.detail = detail
