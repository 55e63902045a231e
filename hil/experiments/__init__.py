"""Experiments: the schema of their files, reading them, and the shipped ones, one TOML file each."""

from importlib import resources


def shipped() -> list[str]:
    """Names of the shipped experiments."""
    items = resources.files(__name__).iterdir()
    return sorted(item.name.removesuffix(".toml") for item in items if item.name.endswith(".toml"))
