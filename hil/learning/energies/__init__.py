"""Energies of blocks: the interface, crossbar networks by topology, and what any energy gets without more work.

`energy` has the interface, `crossbar` the energies of chips, `minimize` and `implicit` settle and differentiate any.
"""

from hil.learning.energies.crossbar import Crossbar
from hil.learning.energies.energy import Energy

__all__ = ["Crossbar", "Energy"]
