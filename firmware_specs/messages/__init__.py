"""Payloads of the serial protocol as values: `pack` gives bytes, `parse` takes them (PROTOCOL.md sections 3 to 8).

Verbs without a payload in one direction have no class for it: their payload is `b""`.
"""

from firmware_specs.messages.cells import CellCodes, CellUsage, Patch, ReadCells, Region, WriteCells, Written
from firmware_specs.messages.coincide import SLOTS_OF_A_TRAIN, Coincide, Train
from firmware_specs.messages.identity import (
    Converter,
    FabricInfo,
    Identity,
    LimitsInfo,
    LimitsRecord,
    pack_converters,
    pack_parameters,
    parse_converters,
    parse_parameters,
)
from firmware_specs.messages.link import Credit, Nak, Refusal, Sync, Synced
from firmware_specs.messages.packing import Codes, MalformedError, Reader, Writer, code_dtype, width_for
from firmware_specs.messages.placement import (
    Configure,
    Configured,
    ContradictionError,
    pack_array,
    pack_topology,
    parse_array,
    parse_topology,
)
from firmware_specs.messages.pulses import PULSES_A_CELL, PULSES_AT_ONCE, Currents, Measure, Pulse, Pulsed
from firmware_specs.messages.settle import Product, ProductReply, Settle, SettleReply
from firmware_specs.messages.status import (
    Fault,
    FaultLog,
    FaultQuery,
    SelfTest,
    SelfTestItem,
    Status,
    pack_number,
    parse_number,
)
from firmware_specs.messages.update import MAX_TERMS, Term, Update, Updated

__all__ = [
    "CellCodes", "CellUsage", "Codes", "Coincide", "Configure", "Configured", "ContradictionError", "Converter",
    "Credit",
    "Currents", "MAX_TERMS", "PULSES_AT_ONCE", "PULSES_A_CELL", "SLOTS_OF_A_TRAIN", "Train",
    "FabricInfo", "Fault", "FaultLog", "FaultQuery", "Identity", "LimitsInfo", "LimitsRecord", "MalformedError",
    "Measure", "Nak", "Patch", "Product", "ProductReply", "Pulse", "Pulsed", "ReadCells", "Reader", "Refusal",
    "Region", "SelfTest", "SelfTestItem", "Settle", "SettleReply", "Status", "Sync", "Synced", "Term", "Update",
    "Updated", "WriteCells", "Writer",
    "Written", "code_dtype", "pack_array", "pack_converters", "pack_number", "pack_parameters", "pack_topology",
    "parse_array", "parse_converters", "parse_number", "parse_parameters", "parse_topology", "width_for",
]  # fmt: skip
