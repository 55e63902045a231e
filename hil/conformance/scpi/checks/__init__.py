"""All checks of the SCPI instrument: its own, and those it shares with the serial protocol."""

from dataclasses import replace

from hil.conformance.check import Check
from hil.conformance.checks import SHARED
from hil.conformance.scpi.checks import blocks, common, errors, links, messages, safety, transactions
from hil.conformance.scpi.subject import ScpiSubject

PLACES = {"7.5": "5.5", "7.6": "5.2", "7.7": "5.3", "7.8": "5", "7.9": "5", "7.10": "5.7", "7.11": "5.8"}
"""Where SCPI.md spells what a section of PROTOCOL.md demands; everything else is in its table, section 5."""

CHECKS: tuple[Check[ScpiSubject], ...] = (
    *common.CHECKS,
    *errors.CHECKS,
    *messages.CHECKS,
    *blocks.CHECKS,
    *safety.CHECKS,
    *links.CHECKS,
    *transactions.CHECKS,
    *(replace(check, section=f"{PLACES.get(check.section, '5')} ({check.section} there)") for check in SHARED),
)
