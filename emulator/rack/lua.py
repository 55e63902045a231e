"""The little Lua a virtual TSP box understands: assignments, calls, functions without arguments, `if not CALL then`."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from emulator.rack.sources import Refused

_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(?P<string>\"[^\"]*\"|'[^']*')|(?P<name>[A-Za-z_][\w.]*)|(?P<mark>[=(),;]))"
)
SYNTAX = Refused(-285, "TSP Syntax error at line 1: unexpected symbol")


@dataclass(frozen=True)
class Name:
    """A path: `smua.source.levelv`."""

    path: str


@dataclass(frozen=True)
class CallTo:
    """A call in a statement or an expression."""

    path: str
    args: tuple[Expression, ...]


@dataclass(frozen=True)
class Assign:
    """`path = expression`."""

    path: str
    value: Expression


@dataclass(frozen=True)
class Define:
    """`function name() ... end`."""

    name: str
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Unless:
    """`if not call() then ... end`."""

    condition: CallTo
    body: tuple[Statement, ...]


Expression = Name | CallTo | float | str
Statement = Assign | CallTo | Define | Unless


def parse(line: str) -> Iterator[Statement]:
    """Statements of a line.

    Raises:
        Refused: -285, anything else.
    """
    tokens = _tokens(line)
    while tokens:
        if tokens[0][1] == ";":
            tokens.popleft()
        else:
            yield _statement(tokens)


def _statement(tokens: deque[tuple[str, str]]) -> Statement:
    kind, text = tokens.popleft()
    if kind != "name" or not tokens or text in ("end", "then", "not"):
        raise SYNTAX
    if text == "function":
        _, name = tokens.popleft()
        _expect(tokens, "(", ")")
        return Define(name, _body(tokens))
    if text == "if":
        _expect(tokens, "not")
        condition = _expression(tokens)
        _expect(tokens, "then")
        if not isinstance(condition, CallTo):
            raise SYNTAX
        return Unless(condition, _body(tokens))
    _, mark = tokens.popleft()
    if mark == "=":
        return Assign(text, _expression(tokens))
    if mark == "(":
        return CallTo(text, _arguments(tokens))
    raise SYNTAX


def _body(tokens: deque[tuple[str, str]]) -> tuple[Statement, ...]:
    body = []
    while tokens and tokens[0][1] != "end":
        body.append(_statement(tokens))
    _expect(tokens, "end")
    return tuple(body)


def _expect(tokens: deque[tuple[str, str]], *texts: str) -> None:
    for text in texts:
        if not tokens or tokens.popleft()[1] != text:
            raise SYNTAX


def _tokens(line: str) -> deque[tuple[str, str]]:
    tokens: deque[tuple[str, str]] = deque()
    position = 0
    while line[position:].strip():
        match = _TOKEN.match(line, position)
        if match is None:
            raise SYNTAX
        tokens.append((str(match.lastgroup), match[match.lastgroup or 0]))
        position = match.end()
    return tokens


def _expression(tokens: deque[tuple[str, str]]) -> Expression:
    if not tokens:
        raise SYNTAX
    kind, text = tokens.popleft()
    if kind == "number":
        return float(text)
    if kind == "string":
        return text[1:-1]
    if kind != "name":
        raise SYNTAX
    if tokens and tokens[0][1] == "(":
        tokens.popleft()
        return CallTo(text, _arguments(tokens))
    return Name(text)


def _arguments(tokens: deque[tuple[str, str]]) -> tuple[Expression, ...]:
    args: list[Expression] = []
    while tokens:
        if tokens[0][1] == ")":
            tokens.popleft()
            return tuple(args)
        args.append(_expression(tokens))
        if tokens and tokens[0][1] == ",":
            tokens.popleft()
    raise SYNTAX
