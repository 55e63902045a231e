"""Instrument models as data: the commands each one takes, with types, ranges, defaults and where they are from."""

from firmware_specs.instruments.table import Command, Style, Table, load_document, load_table, tables

__all__ = ["Command", "Style", "Table", "load_document", "load_table", "tables"]
