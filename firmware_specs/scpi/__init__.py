"""The SCPI instrument: command tree, messages, blocks, errors (SCPI.md). Sans-I/O."""

from firmware_specs.scpi.blocks import BlockError, block, data_length, header_length, pack_array, parse_array
from firmware_specs.scpi.errors import BY_CODE, TEXTS, ErrorQueue, ScpiError
from firmware_specs.scpi.headers import Headers
from firmware_specs.scpi.split import Overrun, Splitter, Unit, units
from firmware_specs.scpi.tree import COMMANDS, Command, Form, find, headers, matches
from firmware_specs.scpi.values import Parameters, numeric, quoted

__all__ = [
    "BY_CODE", "COMMANDS", "TEXTS", "BlockError", "Command", "ErrorQueue", "Form", "Headers", "Overrun", "Parameters",
    "ScpiError", "Splitter", "Unit", "block", "data_length", "find", "header_length", "headers", "matches", "numeric",
    "pack_array", "parse_array", "quoted", "units",
]  # fmt: skip
