"""A setting or an action that an instrument refuses."""

from __future__ import annotations


class Refused(Exception):
    """What an instrument refuses: code and words for its error queue."""

    def __init__(self, code: int, text: str) -> None:
        self.code, self.text = code, text
        super().__init__(text)
