"""Digital twins: datasheets fitted to what was measured, by us or by somebody else, and how well they hold."""
