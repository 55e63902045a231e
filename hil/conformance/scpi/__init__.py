"""The conformance suite of the SCPI instrument (SCPI.md)."""
