"""Makes `core/codes.h` from `firmware_specs.codes` and the layouts: `python -m firmware_specs.firmware.codes`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from enum import IntEnum
from pathlib import Path

from firmware_specs import codes, frame
from firmware_specs.messages import LimitsRecord, packing

HEADER = Path(__file__).parent / "core" / "codes.h"
_HEADER_FIELDS = ("version", "kind", "opcode", "flags", "session", "sequence", "part", "parts", "length")
_TYPES = {"B": ("uint8_t", 1), "H": ("uint16_t", 2), "I": ("uint32_t", 4)}
_OF_EMULATORS = (codes.Capability.VIRTUAL_CLOCK, codes.Capability.SNAPSHOT)
_GROUPS: dict[str, type[IntEnum]] = {
    "KIND": codes.Kind, "NAK": codes.NakReason, "STATE": codes.State, "TRIP": codes.Trip, "OP": codes.Opcode,
    "ERR": codes.ErrorCode, "CONV": codes.ConverterId, "QUANTITY": codes.Quantity, "PARAM": codes.Parameter,
}  # fmt: skip


def text() -> str:
    """The whole header."""
    lines = [
        "/* Made by python -m firmware_specs.firmware.codes from the protocol's tables. Do not edit. */",
        "#ifndef HIL_CODES_H",
        "#define HIL_CODES_H",
    ]
    for group, members in _GROUPS.items():
        lines += ["", *_enum(group, ((member.name, int(member)) for member in members))]
    lines += ["", *_defines("FLAG", ((flag.name or "", flag.value) for flag in codes.DeviceFlag))]
    able = ((c.name or "", f"(UINT64_C(1) << {c.value.bit_length() - 1})") for c in codes.Capability)
    lines += ["", *_defines("CAP", able), "", *_layout(), "", *_verbs(), "", "#endif", ""]
    return "\n".join(lines)


def _enum(group: str, members: Iterable[tuple[str, int]]) -> list[str]:
    return ["enum {", *(f"    {group}_{name} = {value}," for name, value in members), "};"]


def _defines(group: str, members: Iterable[tuple[str, object]]) -> list[str]:
    return [f"#define {group}_{name} {value}" for name, value in members]


def _layout() -> list[str]:
    """Sizes of frames, places of header fields, order of the limits."""
    numbers: dict[str, int] = {
        "PROTOCOL_VERSION": codes.VERSION, "MAX_FRAME": frame.MAX_FRAME, "MAX_PAYLOAD": frame.MAX_PAYLOAD,
        "HEADER_SIZE": frame.HEADER_SIZE, "CRC_SIZE": frame.CRC_SIZE, "MAX_TEXT": packing.MAX_TEXT,
        "WRITE_ONCE": codes.WRITE_ONCE, "PLANE_DIFFERENCE": codes.DIFFERENCE, "TRIP_FAULT": codes.TRIP_FAULT,
    }  # fmt: skip
    lines = [f"#define {name} {value}" for name, value in numbers.items()]
    lines.append(f"#define CRC_RESIDUE UINT32_C({frame.RESIDUE:#x})")
    at, rows = 0, []
    for name, kind in zip(_HEADER_FIELDS, frame.HEADER.format.removeprefix("<"), strict=True):
        lines.append(f"#define AT_{name.upper()} {at}")
        rows.append(f"    X({name.upper()}, {name}, {_TYPES[kind][0]})")
        at += _TYPES[kind][1]
    lines += ["", "#define HIL_HEADER(X) \\", " \\\n".join(rows)]
    names = [field.name.upper() for field in fields(LimitsRecord)]
    return [*lines, "", *_enum("LIMIT", ((name, i) for i, name in enumerate([*names, "COUNT"])))]


def _verbs() -> list[str]:
    """The table of section 7: name, function, armed, bit of the capability or -1, whether the request is empty."""
    emulators = [verb for verb, rule in codes.RULES.items() if rule.capability in _OF_EMULATORS]
    boards = [verb for verb in codes.RULES if verb not in emulators]
    return [
        *_table("HIL_VERBS", boards),
        "",
        "/* What no board does, see 7.1. */",
        *_table("HIL_EMULATOR_VERBS", emulators),
    ]


def _table(name: str, verbs: Iterable[codes.Opcode]) -> list[str]:
    rows = [
        f"    X({verb.name}, {verb.name.lower()}, {int(rule.armed)}, "
        f"{rule.capability.value.bit_length() - 1 if rule.capability else -1}, {int(verb in codes.WITHOUT_PAYLOAD)})"
        for verb in verbs
        for rule in (codes.RULES[verb],)
    ]
    return [f"#define {name}(X) \\", " \\\n".join(rows)]


if __name__ == "__main__":
    HEADER.write_text(text(), "utf-8")
