"""Shipped datasheets, one TOML file a device."""
