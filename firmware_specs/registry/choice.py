"""Sections that are chosen by `kind`, the shipped ones known to the schema, those of others looked up when named."""

from __future__ import annotations

from dataclasses import field, is_dataclass, make_dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    SerializeAsAny,
    Tag,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic_core import PydanticCustomError

from firmware_specs.refusals import REFUSED_BY_ITS_OWN, UNKNOWN_KIND, UNKNOWN_NAME, close, explain
from firmware_specs.registry.errors import StaleInstallation, UnknownName
from firmware_specs.registry.lookup import entries, find, names, stale

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
    answering = _answering(section, str(value["kind"]))
    try:
        return TypeAdapter(answering).validate_python(value)
    except ValidationError as error:
        model = answering if issubclass(answering, BaseModel) else None
        lines = explain(error, value, model)
        raise PydanticCustomError(REFUSED_BY_ITS_OWN, "{why}", {"why": "; ".join(lines), "lines": lines}) from error


@lru_cache
def _answering(section: Any, name: str) -> Any:
    """The section, with a `kind` that is the name it was chosen by, so that what is written down is read back.

    Its own `kind` may be another one (it was chosen by its place, or its package calls it otherwise), or missing.
    """
    of_pydantic = isinstance(section, type) and issubclass(section, BaseModel)
    if not of_pydantic and not (isinstance(section, type) and is_dataclass(section)):
        what = section.__name__ if isinstance(section, type) else f"{section!r:.60}"
        why = f"{name!r} is {what}, expected a dataclass or a pydantic model with its settings as fields"
        raise PydanticCustomError(UNKNOWN_KIND, "{why}", {"why": why})
    own = get_type_hints(section).get("kind")
    if own is str or name in get_args(own):
        return section
    kind: Any = Literal[name]
    if of_pydantic:
        return create_model(section.__name__, __base__=section, __module__=section.__module__, kind=(kind, name))
    return make_dataclass(
        section.__name__,
        [("kind", kind, field(default=name, kw_only=True))],
        bases=(section,),
        frozen=section.__dataclass_params__.frozen,
        namespace={"__module__": section.__module__},
    )
