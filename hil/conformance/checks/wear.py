"""What a cell may take in its life: energy, rewrites, and counts that outlive a reset (PROTOCOL.md 6.6, 7.3, 7.6)."""

from __future__ import annotations

import numpy as np

from firmware_specs.codes import Capability, ErrorCode, Opcode
from firmware_specs.messages import Patch, Pulse, WriteCells
from hil.conformance.check import Check
from hil.conformance.checks.pulses import ready
from hil.conformance.conversation import demand
from hil.conformance.subject import Subject


def _energy(subject: Subject) -> None:
    ready(subject)
    region = subject.region()
    subject.pulse(region, True, 1)
    used = subject.usage(region)
    spent_j = float(used.energy_j.max())
    demand(spent_j > 0, f"USAGE says {spent_j} J for cells that had pulses")
    subject.limit(max_energy_per_cell_j=spent_j * (1 + 1e-9))
    request = Pulse(region, True, *subject.pulse_shape(), 1)
    subject.verbs.refused(Opcode.PULSE, request.pack(), ErrorCode.BUDGET)
    grown = subject.usage(region).pulses.astype(np.int64) - used.pulses
    demand(not grown.any(), f"a request beyond the energy budget gave cells {grown.max()} pulses")


def _writes(subject: Subject) -> None:
    subject.needs(Capability.WRITE, Capability.USAGE)
    subject.prepare()
    subject.write({0: 0.5})
    region = subject.region()
    used = subject.usage(region).pulses.astype(np.int64)
    demand(int(used.min()) > 0, f"cells that were written count {used.min()} .. {used.max()} pulses")
    subject.limit(max_pulses_per_cell=float(used.max()))
    request = WriteCells(0, (Patch(region, subject.cell_codes(np.full((region.rows, region.columns), 0.2))),))
    subject.verbs.refused(Opcode.WRITE_CELLS, request.pack(), ErrorCode.BUDGET)
    grown = subject.usage(region).pulses - used
    demand(not grown.any(), f"a write beyond the budget gave cells up to {grown.max()} pulses")


def _kept(subject: Subject) -> None:
    ready(subject)
    subject.pulse(subject.region(), True, 2)
    before = subject.usage(subject.region())
    subject.restart()
    subject.prepare()
    after = subject.usage(subject.region())
    same = np.array_equal(before.pulses, after.pulses) and np.array_equal(before.energy_j, after.energy_j)
    demand(same, f"cells with {before.pulses.max()} pulses count {after.pulses.max()} after RESET, or other energies")


CHECKS = (
    Check("pulses.energy", "6.6", "a pulse beyond a cell's energy budget is refused", _energy),
    Check("pulses.kept", "7.3", "RESET keeps the pulses and the energy that cells have had", _kept),
    Check("cells.budget", "7.6", "a write beyond a cell's budget is refused as a whole", _writes),
)
