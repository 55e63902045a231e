"""What becomes of samples that did not come to rest."""

from typing import Literal

Unsettled = Literal["count", "leave_out", "refuse"]
"""Of a free phase, see `EnergyBlock`."""
