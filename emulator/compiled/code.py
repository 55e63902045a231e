"""What compiled functions are written with, in LLVM's language: loops and vectors of 32-bit numbers.

Code is written without variables: a loop hands on what it carries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

INT, REAL, PLACE = ir.IntType(64), ir.FloatType(), ir.IntType(32)
NUMBERS, REALS = INT.as_pointer(), REAL.as_pointer()
Value = Any


class Code:
    """A function under way.

    Args:
        module: Where it will be.
        name: Its own.
        lanes: Numbers of a vector.
        arguments: Name and type of each.
        result: Type of what it returns.
    """

    def __init__(
        self, module: ir.Module, name: str, lanes: int, arguments: Sequence[tuple[str, ir.Type]], result: ir.Type
    ) -> None:
        self.module, self.lanes = module, lanes
        self.function = ir.Function(module, ir.FunctionType(result, [kind for _, kind in arguments]), name)
        for argument, (known, _) in zip(self.function.args, arguments, strict=True):
            argument.name = known
        self.vector = ir.VectorType(REAL, lanes)
        self.zero = ir.Constant(self.vector, None)
        self.b = ir.IRBuilder(self.function.append_basic_block())
        self.named = {a.name: a for a in self.function.args}

    def loop(
        self, count: Value, body: Callable[[Value, list[Value]], list[Value] | None], carried: Sequence[Value] = ()
    ) -> list[Value]:
        """`body(number, carried)` for every number below count; what the last one hands on."""
        b, before = self.b, self.b.block
        head, inside, out = (self.function.append_basic_block() for _ in range(3))
        b.branch(head)
        b.position_at_end(head)
        number, held = b.phi(INT), [b.phi(value.type) for value in carried]
        for phi, value in zip([number, *held], [INT(0), *carried], strict=True):
            phi.add_incoming(value, before)
        b.cbranch(b.icmp_signed("<", number, count), inside, out)
        b.position_at_end(inside)
        handed = body(number, held) or []
        for phi, value in zip([number, *held], [b.add(number, INT(1)), *handed], strict=True):
            phi.add_incoming(value, b.block)
        b.branch(head)
        b.position_at_end(out)
        return held

    def numbers(self, table: Value, first: Value, count: int) -> list[Value]:
        """Whole or real numbers of a table, from its `first` on."""
        return [self.b.load(self.at(table, self.b.add(first, INT(n)))) for n in range(count)]

    def at(self, base: Value, number: Value) -> Value:
        """Where the element of a number is."""
        return self.b.gep(base, [number])

    def get(self, place: Value) -> Value:
        """A vector from memory."""
        return self.b.load(self.b.bitcast(place, self.vector.as_pointer()), align=4)

    def put(self, value: Value, place: Value) -> None:
        """A vector into memory."""
        self.b.store(value, self.b.bitcast(place, self.vector.as_pointer()), align=4)

    def splat(self, value: Value) -> Value:
        """A vector of one number."""
        nowhere = ir.Constant(self.vector, ir.Undefined)
        one = self.b.insert_element(nowhere, value, PLACE(0))
        return self.b.shuffle_vector(one, nowhere, places([0] * self.lanes))

    def fused(self, one: Value, other: Value, added: Value) -> Value:
        """`one * other + added`, rounded once."""
        return self.call("fma", one, other, added)

    def larger(self, one: Value, other: Value) -> Value:
        """The larger of both; NaN where one is."""
        b = self.b
        larger = b.select(b.fcmp_ordered(">", one, other), one, other)
        return b.select(b.fcmp_unordered("uno", one, one), one, larger)

    def call(self, name: str, *values: Value) -> Value:
        """LLVM's own function of vectors."""
        whole = f"llvm.{name}.v{self.lanes}f32"
        known = self.module.globals.get(whole)
        if known is None:
            known = ir.Function(self.module, ir.FunctionType(self.vector, [self.vector] * len(values)), whole)
        return self.b.call(known, values)


def places(lanes: Sequence[int]) -> ir.Constant:
    """Numbers of lanes, as a shuffle takes them."""
    return ir.Constant(ir.VectorType(PLACE, len(lanes)), list(lanes))
