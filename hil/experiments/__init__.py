"""Shipped experiments, one TOML file each."""
