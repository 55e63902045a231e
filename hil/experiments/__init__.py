"""Experiments: the schema of their files, reading them, and the shipped ones, one TOML file each."""
