"""Every key of every TOML file: type, unit, range, usual value and text, from the JSON schemas of the models."""

from __future__ import annotations

from typing import Any

from hil.schemas import KINDS, schema

UNITS = {
    "_s": "s", "_v": "V", "_a": "A", "_j": "J", "_k": "K", "_hz": "Hz", "_ohm": "ohm", "_f": "F",
    "_lsb": "LSB", "_w": "W", "_g": "S",
}  # fmt: skip
SIEMENS = ("g_", "_slope_s", "_offset_s", "coefficients_s")
Document = dict[str, Any]


def pages() -> dict[str, str]:
    """A page a kind of file."""
    return {name: _page(name, kind.what) for name, kind in KINDS.items()}


def _page(name: str, what: str) -> str:
    whole = schema(name)
    lines = [
        f"# {name.capitalize()} files",
        "",
        f"{what[0].upper()}{what[1:]}. As a JSON schema: `hil schema {name}`.",
        "",
    ]
    lines += _section("At the top", whole, {"description": _first(whole)})
    for part, found in whole.get("$defs", {}).items():
        if "properties" in found:
            lines += _section(part, found, found)
    return "\n".join(lines) + "\n"


def _first(whole: Document) -> str:
    return str(whole.get("description", ""))


def _section(title: str, part: Document, words: Document) -> list[str]:
    rows = [_row(key, value, key in part.get("required", ())) for key, value in part["properties"].items()]
    head = ["| key | type | unit | range | usual | |", "|---|---|---|---|---|---|"]
    return [f"## {title}", "", _cell(words.get("description", "")), "", *head, *rows, ""]


def _row(key: str, value: Document, required: bool) -> str:
    default = value.get("default")
    plain = default not in (None, "", []) and not isinstance(default, dict)
    usual = "required" if required else f"`{default}`" if plain else ""
    cells = (f"`{key}`", _type(value), unit(key), _range(value), usual, _cell(value.get("description", "")))
    return f"| {' | '.join(cells)} |"


def unit(key: str) -> str:
    """SI unit of a key, by the ending of its name."""
    if key.endswith("_s") and (key.startswith("g_") or key.endswith(SIEMENS[1:])):
        return "S"
    return next((unit for ending, unit in UNITS.items() if key.endswith(ending)), "")


def _type(value: Document) -> str:
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in value or "const" in value:
        return ", ".join(f"`{one}`" for one in value.get("enum", [value.get("const")]))
    if options := value.get("anyOf") or value.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(one) for one in options if one.get("type") != "null"))
    if value.get("type") == "array":
        inside = value.get("items") or (value.get("prefixItems") or [{}])[0]
        return f"list of {_type(inside)}"
    if value.get("type") == "object" and isinstance(value.get("additionalProperties"), dict):
        return f"table of {_type(value['additionalProperties'])}"
    return {"string": "text", "object": "table", None: "any"}.get(value.get("type"), str(value.get("type")))


def _range(value: Document) -> str:
    if "anyOf" in value:
        return next((found for one in value["anyOf"] if (found := _range(one))), "")
    low = (
        f"> {value['exclusiveMinimum']:g}"
        if "exclusiveMinimum" in value
        else f">= {value['minimum']:g}"
        if "minimum" in value
        else ""
    )
    high = (
        f"< {value['exclusiveMaximum']:g}"
        if "exclusiveMaximum" in value
        else f"<= {value['maximum']:g}"
        if "maximum" in value
        else ""
    )
    return ", ".join(part for part in (low, high) if part)


def _cell(text: str) -> str:
    escaped = [
        part if i % 2 else part.replace("<", "\\<").replace("*", "\\*").replace("[", "\\[")
        for i, part in enumerate(text.split("`"))
    ]
    return " ".join("`".join(escaped).replace("|", "\\|").split())
