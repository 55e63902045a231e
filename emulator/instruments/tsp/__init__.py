"""Instruments that are spoken to in Lua (Keithley's Test Script Processor)."""
