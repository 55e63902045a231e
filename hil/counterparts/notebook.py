"""How an open counterpart shows itself."""

from __future__ import annotations

from firmware_specs.shown import Shown, told


class ShownBench(Shown):
    """`repr` and a notebook's table from what `describe` says."""

    address: str

    def describe(self) -> dict[str, object]:
        """Who the counterpart is; see `hil.counterparts.seam.Bench`."""
        raise NotImplementedError

    def facts(self) -> dict[str, object]:
        """Address and description, and whether it is closed."""
        closed = {"closed": True} if getattr(self, "closed", False) else {}
        return {"address": self.address, **closed} | self.describe()

    def __repr__(self) -> str:
        """Kind and address."""
        return told(self, {"address": self.address, "closed": getattr(self, "closed", False)})
