"""Parameter kinds of the command tables: what a parameter may be, as one short text, and how it is read and answered.

    bool                        ON, OFF, 1, 0; other numbers round to one of the two
    int 1..2500                 whole number; MINimum, MAXimum, DEFault
    real 0..999.9999 s          number with an optional unit and multiplier; the same words
    word NORMal|HIMPedance      character data, answered by its short form
    word NORMal=NORM0           the same with an answer of its own
    quoted VOLTage[:DC]=VOLT:DC a string that spells a header pattern, answered in quotes
    string                      any string
    list real -210..210 V       numbers, as many as are given
    none                        no parameter; raw: the instrument's own handler reads them

Words may stand beside numbers: `real 1..1e9 or INFinity=9.9E37`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from firmware_specs.scpi.errors import ScpiError
from firmware_specs.scpi.headers import Headers, short_form
from firmware_specs.scpi.values import Parameters

Value = float | int | bool | str | tuple[float, ...]
EXTREMES = ("MINimum", "MAXimum", "DEFault")


@dataclass(frozen=True)
class Kind:
    """What a parameter may be.

    Attributes:
        name: First word of its text.
        low: Smallest number.
        high: Largest number.
        unit: Its unit, `V`, `A`, `s`, `OHM`, `Hz` or nothing.
        words: Spelling -> what is answered.
        patterns: For `quoted`: the spellings' headers.
    """

    name: str
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""
    words: dict[str, str] = field(default_factory=dict)
    patterns: Headers | None = None

    @classmethod
    def parse(cls, text: str) -> Kind:
        """Reads the text of a kind.

        Raises:
            ValueError: it is none.
        """
        name, _, rest = text.partition(" ")
        if name == "list":
            inner = cls.parse(rest)
            return cls("list", inner.low, inner.high, inner.unit)
        if name in ("int", "real"):
            number, _, other = rest.partition(" or ")
            low, high, unit = _range(number, text)
            return cls(name, low, high, unit, _words(other) if other else {})
        if name == "word":
            return cls(name, words=_words(rest))
        if name == "quoted":
            words = _words(rest)
            return cls(name, words=words, patterns=Headers(words))
        if name in ("bool", "string", "none", "raw") and not rest:
            return cls(name)
        raise ValueError(f"no parameter kind: {text!r}")

    def read(self, p: Parameters, default: Value | None) -> Value:
        """Takes a value from a message.

        Raises:
            ScpiError: it is not of this kind, or out of range.
        """
        match self.name:
            case "bool":
                return p.switch()
            case "int" | "real":
                return self._number(p, default)
            case "word":
                return p.spelled(tuple(self.words))
            case "quoted":
                return self._quoted(p)
            case "string":
                return p.string()
            case "list":
                values = []
                while p.left:
                    values.append(self._within(p.number()))
                return tuple(values)
        raise AssertionError(f"a {self.name} parameter is read by its handler")

    def extreme(self, p: Parameters, default: Value | None) -> Value | None:
        """The limit that a query asks for by `MIN`, `MAX` or `DEF`, None where it asks for none of them."""
        if not p.left or self.name not in ("int", "real", "bool", "word"):
            return None
        word = p.maybe(*EXTREMES)
        if word is None:
            return None
        return {"MINIMUM": self._whole(self.low), "MAXIMUM": self._whole(self.high)}.get(word, default)

    def answer(self, value: Value) -> str:
        """The short form of a word, or the model's spelling of it."""
        return self.words.get(str(value), str(value))

    def _number(self, p: Parameters, default: Value | None) -> Value:
        word = p.maybe(*EXTREMES, *self.words)
        if word is None:
            return self._whole(self._within(p.number()))
        if word in ("MINIMUM", "MAXIMUM"):
            return self._whole(self.low if word == "MINIMUM" else self.high)
        if word != "DEFAULT":
            return next(float(value) for name, value in self.words.items() if name.upper() == word)
        if default is None:
            raise ScpiError(-224, "DEFault is not known here")
        return default

    def _whole(self, value: float) -> float | int:
        return round(value) if self.name == "int" and math.isfinite(value) else value

    def _within(self, value: float) -> float:
        margin = 1e-9 * max(abs(value), abs(self.high) if math.isfinite(self.high) else 0.0)
        if not self.low - margin <= value <= self.high + margin:
            raise ScpiError(-222, f"{value:g} is not within {self.low:g} .. {self.high:g}")
        return value

    def _quoted(self, p: Parameters) -> str:
        assert self.patterns is not None  # noqa: S101 - made with the kind
        text = p.string()
        try:
            index, _ = self.patterns.find(text.replace(" ", ""))
        except (LookupError, ValueError) as error:
            raise ScpiError(-224, f"{text[:40]!r} is none of {', '.join(self.words)}") from error
        return list(self.words)[index]


def _range(text: str, whole: str) -> tuple[float, float, str]:
    match = re.fullmatch(r"(-?[\d.eE+-]+)\.\.(-?[\d.eE+-]+)(?: (\w+))?|", text)
    if match is None:
        raise ValueError(f"no range in {whole!r}")
    return (float(match[1]), float(match[2]), match[3] or "") if match[1] else (-math.inf, math.inf, "")


def _words(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split("|"))
    return {word: answer or short_form(word) for word, _, answer in pairs}
