"""JSON schemas of the project's TOML files, for editors and for the reference pages: one model, one schema.

The texts are those of the models' docstrings. The files beside this module are what `hil schema KIND` prints; shipped
TOML files point at them in their first line (`#:schema`), a test holds them to the models.
"""

from hil.schemas.generate import KINDS, Kind, schema, text_of

__all__ = ["KINDS", "Kind", "schema", "text_of"]
