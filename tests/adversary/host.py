"""What an honest host does with a device: every verb once, from opening to leaving; results are looked at."""

import resource
import time

import numpy as np

from drivers.crossbar import Crossbar
from drivers.errors import DeviceError
from drivers.framed import Framed
from drivers.link import FramedLink
from drivers.loopback import Loopback
from drivers.scpi_dialect import Scpi
from drivers.scpi_link import ScpiLink
from drivers.session import Session
from firmware_specs.chains import dense_chain
from firmware_specs.codes import Capability
from firmware_specs.messages import Region
from hil.counterparts.described import datasheet_of

TIMEOUT_S = 0.1
LONGEST_S = 12.0
"""A dialogue of 25 verbs, each with its deadline, its answer time and 10 %, of which the attack spoils a few."""


def framed(board):
    return Framed(FramedLink(Loopback(board.feed, "liar")), TIMEOUT_S)


def scpi(board):
    return Scpi(ScpiLink(Loopback(board.feed, "liar")), TIMEOUT_S)


def finite(values):
    return bool(np.isfinite(values).all())


def verbs(crossbar):
    """Every verb; what comes back must be numbers of the right shape within what the device says it can."""
    session, info = crossbar.session, crossbar.info
    datasheet_of(info, "liar")
    session.status()
    session.fault_log()
    if info.can(Capability.SELF_TEST):
        session.self_test()
    if info.can(Capability.TEMPERATURE):
        assert finite(session.temperature_k())
    crossbar.configure(0, dense_chain([4, 3]))
    crossbar.arm()
    low, high = crossbar.g_range_s
    targets = np.full((crossbar.planes, 5, 3), (low + high) / 2)
    assert crossbar.program(0, [targets]).written >= 0
    seen = crossbar.read_conductances(0, 0, 2)
    assert seen.shape == targets.shape and finite(seen) and seen.max() <= high * 1.01
    cells = Region(0, 0, 0, 0, 2, 0, 2)
    assert crossbar.pulse(cells, up=True, amplitude_v=1.0, width_s=1e-6, count=1) >= 0
    currents = crossbar.measure(cells, [0.1, 0.2], 2)
    assert currents.shape == (2, 2, 2, 2) and finite(currents)
    pulses, joules = crossbar.usage(cells)
    assert pulses.shape == joules.shape == (2, 2) and finite(joules)
    settled = crossbar.settle(0, np.zeros((3, 4)), [np.zeros((3, 3))])
    assert [s.shape for s in settled.states_v] == [(2, 3, 4), (2, 3, 3)]
    assert all(finite(s) for s in settled.states_v) and finite(settled.seconds)
    if info.can(Capability.PRODUCT):
        amperes, _, _ = crossbar.product(0, 0, np.zeros((2, 5)), 0)
        assert amperes.shape == (2, 3) and finite(amperes)
    session.reset()


def met(dialect):
    """A whole dialogue; the error of ours it ended with, or None. Anything else is a failure of the test."""
    begin, grown = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ended = None
    try:
        with Crossbar(Session(dialect, open_timeout_s=TIMEOUT_S)) as crossbar:
            verbs(crossbar)
    except DeviceError as error:
        str(error)
        ended = error
    finally:
        dialect.close()
    assert time.monotonic() - begin < LONGEST_S
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - grown
    assert grown < 200_000, f"{grown} kB more"
    return ended


def attack(cases, opened):
    """Meets every case, `opened(case)`; those that ended in anything but a result or an error of ours, in words."""
    bad, refused = [], 0
    for case in cases:
        try:
            refused += met(opened(case)) is not None
        except Exception as error:
            bad.append(f"{case}: {type(error).__name__}: {str(error)[:200]}")
    print(f"{len(cases)} cases, {refused} refused, {len(bad)} bad")
    return bad
