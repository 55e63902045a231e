"""How a thing shows itself in a notebook: its name and a small table of facts, from one method."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from firmware_specs.printable import printable


def html(text: object) -> str:
    """Anybody's text as it may stand in a page: no control characters, no markup."""
    return escape(printable(str(text)))


class Shown:
    """Gives a class `_repr_html_` from `facts`."""

    def facts(self) -> Mapping[str, object]:
        """What there is to say, by name."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{html(k)}</th><td>{html(v)}</td></tr>" for k, v in self.facts().items())
        return f"<table><caption>{html(type(self).__name__)}</caption>{rows}</table>"


def told(thing: object, facts: Mapping[str, object]) -> str:
    """The facts in a line, for `repr`."""
    return f"{type(thing).__name__}({', '.join(f'{name}: {fact}' for name, fact in facts.items())})"
