"""Sections that are chosen by `kind`, the shipped ones known to the schema, those of others looked up when named."""

from __future__ import annotations

from typing import Annotated, Any, Union

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    SerializeAsAny,
    Tag,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from firmware_specs.refusals import REFUSED_BY_ITS_OWN, UNKNOWN_KIND, UNKNOWN_NAME, close, explain
from firmware_specs.registry.lookup import StaleInstallation, UnknownName, entries, find, names, stale

OTHER = "of another package"


def registered(kind: str) -> AfterValidator:
    """Annotation of a text that names a thing of a kind."""

    def check(name: str) -> str:
        try:
            find(kind, name)
        except UnknownName as error:
            raise PydanticCustomError(UNKNOWN_NAME, "{why}", {"why": str(error)}) from error
        return name

    return AfterValidator(check)


def choice(kind: str, default: str | None = None) -> Any:
    """A union over the sections (pydantic models or dataclasses) of a kind, told apart by their `kind`.

    Args:
        kind: Of `KINDS`; its shipped things are imported now, others when a document names them.
        default: The `kind` of a table that states none.

    Returns:
        A type for a pydantic field.

    Raises:
        StaleInstallation: no shipped thing of the kind is known.
    """
    shipped: dict[str, Any] = {entry.name: entry.load() for entry in entries(kind) if entry.shipped}
    if not shipped:
        raise StaleInstallation(stale(kind) or f"the installation brings no {kind}: make it again")
    classes: dict[type, str] = {}
    for name, section in shipped.items():
        classes.setdefault(section, name)
    tags = {name: classes[section] for name, section in shipped.items()}

    def tag(value: object) -> str:
        given = value.get("kind", default) if isinstance(value, dict) else getattr(value, "kind", None)
        if type(value) in classes:
            return classes[type(value)]
        return tags.get(str(given), OTHER)

    def look_up(value: object) -> object:
        if not isinstance(value, dict):
            return value
        given = value.get("kind", default)
        if given is None:
            raise PydanticCustomError(UNKNOWN_KIND, "{why}", {"why": f"missing; {close('', names(kind))}"})
        try:
            section = find(kind, str(given))
        except UnknownName as error:
            raise PydanticCustomError(UNKNOWN_KIND, "{why}", {"why": str(error)}) from error
        return _validated(section, value)

    members = [Annotated[section, Tag(name)] for section, name in classes.items()]
    other = Annotated[SerializeAsAny[Any], BeforeValidator(look_up), Tag(OTHER)]
    return Annotated[Union[(*members, other)], Discriminator(tag)]


def _validated(section: Any, value: dict[str, object]) -> object:
    fields = getattr(section, "model_fields", None) or getattr(section, "__dataclass_fields__", {})
    given = value if "kind" in fields else {key: content for key, content in value.items() if key != "kind"}
    try:
        return TypeAdapter(section).validate_python(given)
    except ValidationError as error:
        model = section if isinstance(section, type) and issubclass(section, BaseModel) else None
        lines = explain(error, given, model)
        raise PydanticCustomError(REFUSED_BY_ITS_OWN, "{why}", {"why": "; ".join(lines), "lines": lines}) from error
