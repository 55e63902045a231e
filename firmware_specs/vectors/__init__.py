"""Golden frames, derived by hand from PROTOCOL.md."""
