"""What every section of a datasheet has in common."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

_NO_NUMBER = PydanticCustomError("truth", "true and false are no numbers; a number, a text or a table is expected")


class Plain(BaseModel):
    """A section in which `true` is no number: pydantic would take it for 1."""

    @model_validator(mode="before")
    @classmethod
    def _true_is_no_number(cls, data: Any) -> Any:
        wrong = [
            InitErrorDetails(type=_NO_NUMBER, loc=(name,), input=value)
            for name, value in (data.items() if isinstance(data, dict) else ())
            if _has_truth(value) and name in cls.model_fields and not _takes_truth(cls, name)
        ]
        if wrong:
            raise ValidationError.from_exception_data(cls.__name__, wrong)
        return data


class Section(Plain):
    """A datasheet section: immutable, unknown keys refused, infinities and NaN refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


LARGEST = 1e30
"""No quantity of a device is larger in SI units, and single precision still takes its square root of range."""
NonNegative = Annotated[float, Field(ge=0, le=LARGEST)]
Positive = Annotated[float, Field(gt=0, le=LARGEST)]
Fraction = Annotated[float, Field(ge=0, le=1)]


def _has_truth(value: object) -> bool:
    return isinstance(value, bool) or (isinstance(value, list) and any(isinstance(one, bool) for one in value))


@cache
def _takes_truth(owner: type[BaseModel], field: str) -> bool:
    return _allows_truth(owner.model_fields[field].annotation)


def _allows_truth(annotation: object) -> bool:
    return annotation in (bool, Any, object) or any(_allows_truth(part) for part in get_args(annotation))
