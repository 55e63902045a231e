"""Makes a `board.h` from a datasheet: `python -m firmware_specs.firmware.board DATASHEET FILE`.

The numbers of IDENTIFY, FABRIC, CONVERTERS, PARAMETERS and LIMITS, and those of the software array in `chip/`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path

from firmware_specs import device_numbers
from firmware_specs.codes import Capability, Parameter
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.datasheet.pulses import Pulses

FOLDER = Path(__file__).parent
MAX_READS = 4096
CURVE = 64
"""Straight pieces of a pulse law that is none."""
PAIR_BYTES, WEIGHT_BYTES = 2 * (4 + 4 + 8), 4
UPDATE_BYTES = 2 * 4
MOST_BYTES = 1_000_000_000
"""Of the software array: what an ordinary computer links and runs."""
CAPABILITIES = (
    Capability.SETTLE | Capability.TEMPERATURE | Capability.CONFIGURABLE | Capability.MEASURE | Capability.USAGE
    | Capability.DIFFERENTIAL | Capability.WRITE | Capability.READ | Capability.SELF_TEST | Capability.WATCHDOG
    | Capability.VERIFY
)  # fmt: skip


class BoardError(ValueError):
    """A datasheet that this firmware cannot be; the message says why and what would do."""


def text(sheet: Datasheet, source: str) -> str:
    """The header.

    Args:
        sheet: The board's numbers.
        source: What to say they were made from.

    Raises:
        BoardError: the datasheet is of a device that the firmware in C is not.
    """
    _check(sheet)
    lines = [
        f"/* Numbers of a board, made from {source} by firmware_specs.firmware.board; yours to edit. */",
        "#ifndef HIL_BOARD_H",
        "#define HIL_BOARD_H",
        "",
        "#include <math.h>",
        "",
        '#include "codes.h"',
        "",
        "/* Sizes that memory is taken for: frames of the longest message (max_request and max_reply are 4,056 bytes",
        " * each), frames taken in without reading, replies kept (at least the window), entries of the fault log. */",
    ]
    for name, number in {"FRAMES": 4, "WINDOW": 2, "REPLIES": 2, "FAULTS": 64}.items():
        lines += [f"#ifndef BOARD_{name}", f"#define BOARD_{name} {number}", "#endif"]
    lines += ["", "/* What the port adds to the capabilities, e.g. CAP_LINK_LOSS. */"]
    lines += ["#ifndef PORT_CAPABILITIES", "#define PORT_CAPABILITIES 0", "#endif"]
    lines += ["", *_defines(_identity(sheet)), "", *_defines(_fabric(sheet)), ""]
    lines += [*_tables(sheet), ""]
    lines += [
        "/* The software array (chip/model.c) and the energy of a write. */",
        *_defines(_model(sheet)),
        *_responses(sheet),
        *_defines(_update(sheet)),
        *_defines({} if sheet.coincidence is None else {"COINCIDE": "1 /* rows and columns can be pulsed together */"}),
    ]
    return "\n".join([*lines, "", "#endif", ""])


def _check(sheet: Datasheet) -> None:
    reason = ""
    if sheet.resistive:
        reason = "its substrate is resistive, the firmware settles Hopfield arrays"
    elif sheet.product is not None:
        reason = "it multiplies only, the firmware settles"
    elif "dense" not in sheet.fabric.couplings:
        reason = "it has no dense couplings"
    elif sheet.pulses.heights is not None or sheet.pulses.reset is not None:
        reason = (
            "the software array has no table over the height of pulses and no reset by one: leave out pulses.heights "
            "and pulses.reset"
        )
    elif (size := _array_bytes(sheet)) > MOST_BYTES:
        rows, columns, couplings = sheet.fabric.max_rows, sheet.fabric.max_columns, _fabric(sheet)["COUPLINGS"]
        reason = (
            f"the software array would take {size / 1e9:.3g} GB for {couplings} couplings of {rows} x {columns} cells, "
            f"{MOST_BYTES / 1e9:g} GB at most: make max_layers, max_rows, max_columns smaller, in [fabric] of a copy"
        )
    if reason:
        raise BoardError(f"no board.h for {sheet.identity.model!r}: {reason}")


def _array_bytes(sheet: Datasheet) -> int:
    """Memory of `chip/model.c`: level, pulses and energy of both cells of every pair, and a weight, at every crossing.

    What updates have added up, too, where the array updates itself.
    """
    each = PAIR_BYTES * sheet.cells.pairs + WEIGHT_BYTES + (0 if sheet.update is None else UPDATE_BYTES)
    return int(str(_fabric(sheet)["COUPLINGS"])) * sheet.fabric.max_rows * sheet.fabric.max_columns * each


def _defines(values: Mapping[str, object]) -> list[str]:
    return [f"#define BOARD_{name} {value}" for name, value in values.items()]


def _quoted(words: str) -> str:
    plain = words.encode("ascii", "replace").decode()
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")[:128] + '"'


def _identity(sheet: Datasheet) -> dict[str, object]:
    able = CAPABILITIES | (Capability.PULSE if sheet.pulses.law != "none" else Capability(0))
    able |= Capability(0) if sheet.update is None else Capability.UPDATE
    able |= Capability(0) if sheet.coincidence is None else Capability.COINCIDE
    names = [capability.name for capability in Capability if capability in able]
    return {
        "VENDOR": _quoted(sheet.identity.vendor),
        "MODEL": _quoted(sheet.identity.model),
        "FIRMWARE": _quoted("reference firmware 1"),
        "CAPABILITIES": "(" + " | ".join(f"CAP_{name}" for name in names) + " | PORT_CAPABILITIES)",
    }


def _fabric(sheet: Datasheet) -> dict[str, object]:
    fabric = sheet.fabric
    sizes = fabric.layers
    rows, columns = fabric.max_rows, fabric.max_columns
    units = max((fabric.max_units, *sizes))
    return {
        "ARRAYS": 1,
        "MAX_LAYERS": len(sizes) or fabric.max_layers,
        "MAX_UNITS": units,
        "MAX_ROWS": rows,
        "MAX_COLUMNS": columns,
        "LAYERS": "{" + ", ".join(map(str, (*sizes, 0))) + "} /* fixed sizes, closed by a 0 */",
        "COUPLINGS": max(1, (len(sizes) or fabric.max_layers) - 1),
        "PAIRS": f"{sheet.cells.pairs}u",
    }


def _tables(sheet: Datasheet) -> list[str]:
    rows = [
        f"{{{c.id}, {int(c.quantity)}, {c.bits}, {int(c.ideal)}, {c.low!r}, {c.high!r}}}"
        for c in device_numbers.converters(sheet)
    ]
    numbers = device_numbers.parameters(sheet) | {Parameter.MAX_READS: MAX_READS}
    pairs = [f"{{PARAM_{Parameter(n).name}, {float(value)!r}}}" for n, value in sorted(numbers.items())]
    record = device_numbers.limits(sheet)
    limits = [getattr(record, name) for name in record.__dataclass_fields__]
    shown = ["INFINITY" if math.isinf(value) else repr(float(value)) for value in limits]
    return [
        "/* id, quantity, bits, ideal, low, high */",
        *_table("CONVERTERS", rows),
        *_table("PARAMETERS", pairs),
        "/* in the order of PROTOCOL.md 7.2 */",
        *_table("LIMITS", shown),
    ]


def _table(name: str, entries: list[str]) -> list[str]:
    body = "".join(f"        {entry}, \\\n" for entry in entries)
    return [f"#define BOARD_{name} {{ \\\n{body}    }}"]


def _model(sheet: Datasheet) -> dict[str, object]:
    pulses, noise = sheet.pulses, sheet.read_noise
    return {
        "WRITE_ENERGY_J": float(sheet.programming.write_energy_j),
        "STATE_NOISE_V": float(sheet.state_adc.noise_sigma_v),
        "READ_NOISE": float(noise.sigma) if noise.law in ("relative", "additive") else 0.0,
        "PROGRAMMING_NOISE": float(sheet.cells.programming_noise),
        "PULSE_STEP": pulses.step,
        "PULSE_V": pulses.amplitude_v,
        "PULSE_S": pulses.width_s,
        "PULSE_THRESHOLD_V": pulses.threshold_v,
        "PULSE_ASYMMETRY": pulses.asymmetry,
    }


def _update(sheet: Datasheet) -> dict[str, object]:
    """Of an array that updates itself; its circuits are all alike."""
    law = sheet.update
    if law is None:
        return {}
    return {
        "UPDATE": "1 /* the array updates itself */",
        "UPDATE_GAIN": 1 + law.gain,
        "UPDATE_BIAS": law.bias,
        "UPDATE_INJECTION": law.injection,
        "UPDATE_DEAD_ZONE": law.dead_zone,
        "UPDATE_LIMIT": "INFINITY" if law.limit is None else law.limit,
    }


def _responses(sheet: Datasheet) -> list[str]:
    """A law, any law, as a table: the array goes along straight lines, which the linear laws are themselves."""
    pulses = sheet.pulses
    pieces = 1 if pulses.law in ("none", "constant", "linear", "soft_bounds") else CURVE
    pairs = [[_response(pulses, i / pieces, up) for up in (True, False)] for i in range(pieces + 1)]
    rows = [f"{{{up:.7g}, {down:.7g}}}" for up, down in pairs]
    return [
        "/* Relative step of a pulse up and down, at conductances in equal distances over their range. */",
        *_table("PULSE_RESPONSES", [", ".join(rows[i : i + 4]) for i in range(0, len(rows), 4)]),
    ]


def _response(pulses: Pulses, x: float, up: bool) -> float:
    try:
        return float(pulses.response(x, up))
    except OverflowError:  # beyond where it has come to its end
        return -1.0


if __name__ == "__main__":
    made_from = sys.argv[1] if len(sys.argv) > 1 else str(FOLDER / "board.toml")
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else FOLDER / "board.h"
    target.write_text(text(load(made_from), Path(made_from).name), "utf-8")
