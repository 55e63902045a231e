"""Is it the model it should be? By its `*IDN?` answer, whatever name the maker went by when the box was built."""

from __future__ import annotations

import re

from firmware_specs.racks.facts import Facts

MAKERS = (
    ("keithley", "keithleyinstruments", "keithleyinstrumentsinc", "tektronix"),
    ("agilent", "agilenttechnologies", "keysight", "keysighttechnologies", "hp", "hewlettpackard"),
    ("lsci", "lakeshore", "lakeshorecryotronics"),
)
"""Names one maker has had: of Keithley, of what was Hewlett-Packard's instruments, of Lake Shore."""


def answers(facts: Facts, answer: str) -> bool:
    """Whether an `*IDN?` answer is this model's.

    By `facts.pattern` where there is one: a regular expression that `vendor,model` must match as a whole, in any case.
    Otherwise the vendor must be the one of `facts.identity` by any of its names, and the model the same but for the
    word "MODEL", case and an ending such as `-LV`.
    """
    got = fields(answer)
    if len(got) < 2:
        return False
    if facts.pattern:
        return re.fullmatch(facts.pattern, ",".join(got[:2]), re.IGNORECASE) is not None
    wanted = fields(facts.identity)
    if _maker(got[0]) != _maker(wanted[0]):
        return False
    return _bare(got[1]) == _bare(wanted[1]) or _bare(got[1]).startswith(f"{_bare(wanted[1])}-")


def fields(answer: str) -> list[str]:
    """Vendor, model, serial number and version, as far as they are there."""
    return [field.strip() for field in answer.split(",")]


def _maker(vendor: str) -> str:
    name = re.sub(r"[\W_]", "", vendor).lower()
    return next((names[0] for names in MAKERS if name in names), name)


def _bare(model: str) -> str:
    return model.casefold().removeprefix("model").strip()
