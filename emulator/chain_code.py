"""The code of a dense chain's sweeps, in LLVM's language.

    for every sweep:
        for every layer, for every panel of its columns, for every block of samples:
            sum = 0
            for every term, for every unit of its source:
                sum += state of the source * weights
            new = clamp(old + pace * (alpha * sum + constant - old), low, high)
            the sample's change = max(the sample's change, |new - old|)
        stop when all samples changed by at most the tolerance

The sums of a block stay in registers. Code is written without variables: a loop hands on what it carries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from emulator.chain_kernel import FIELDS, REALS, TERM_FIELDS, Shape

INT, REAL, PLACE = ir.IntType(64), ir.FloatType(), ir.IntType(32)
ARGUMENTS = (
    ("samples", INT), ("layers", INT), ("first", INT), ("last", INT), ("tolerance", REAL), ("pace", REAL),
    ("fields", INT.as_pointer()), ("terms", INT.as_pointer()), ("reals", REAL.as_pointer()),
    ("spread", REAL.as_pointer()), ("residual", REAL.as_pointer()), ("since", INT.as_pointer()),
)  # fmt: skip
Value = Any
STRETCH = 128
"""Products that are summed before they are added to the rest: long sums round less in parts."""


def written(shape: Shape) -> str:
    """A module with the function `sweeps`, which says 1 where all samples rest."""
    module = ir.Module("chain")
    function = ir.Function(module, ir.FunctionType(INT, [kind for _, kind in ARGUMENTS]), "sweeps")
    for argument, (name, _) in zip(function.args, ARGUMENTS, strict=True):
        argument.name = name
    _Code(shape, module, function).write()
    return str(module)


class _Code:
    def __init__(self, shape: Shape, module: ir.Module, function: ir.Function) -> None:
        self.shape, self.module, self.function = shape, module, function
        self.vector = ir.VectorType(REAL, shape.lanes)
        self.zero = ir.Constant(self.vector, [REAL(0)] * shape.lanes)
        self.b = ir.IRBuilder(function.append_basic_block())
        self.named = {a.name: a for a in function.args}

    def write(self) -> None:
        """The whole function."""
        b, given, (lanes, rows, _) = self.b, self.named, self.shape
        blocks = b.sdiv(b.add(given["samples"], INT(rows - 1)), INT(rows))
        pace = self.splat(given["pace"])
        begun, again, over = b.block, *(self.function.append_basic_block() for _ in range(2))
        b.branch(again)
        b.position_at_end(again)
        done = b.phi(INT)
        done.add_incoming(given["first"], begun)
        self.loop(b.mul(blocks, INT(rows)), lambda row, _: self.put(self.zero, self.spread(row)))
        self.loop(given["layers"], lambda layer, _: self.layer(layer, blocks, pace))
        swept = b.add(done, INT(1))
        (restless,) = self.loop(given["samples"], lambda row, moved: [self.look(row, swept, moved[0])], [INT(0)])
        rest = b.and_(b.icmp_signed("==", restless, INT(0)), b.fcmp_ordered(">", given["tolerance"], REAL(0)))
        done.add_incoming(swept, b.block)
        b.cbranch(b.or_(rest, b.icmp_signed(">=", swept, given["last"])), over, again)
        b.position_at_end(over)
        b.ret(b.zext(rest, INT))

    def layer(self, layer: Value, blocks: Value, pace: Value) -> None:
        """One layer's part of a sweep."""
        b, given = self.b, self.named
        fields = self.numbers(given["fields"], b.mul(layer, INT(FIELDS)), FIELDS)
        state, stride, panels, constant, constants, first, count = fields
        reals = self.numbers(given["reals"], b.mul(layer, INT(REALS)), REALS)
        low, high, alpha = (self.splat(value) for value in reals)
        state, constant = (b.inttoptr(address, REAL.as_pointer()) for address in (state, constant))
        last = b.sub(given["samples"], INT(1))

        def block(number: Value, panel: Value) -> None:
            row, column = b.mul(number, INT(self.shape.rows)), b.mul(panel, INT(self.shape.columns))
            sums = self.loop(
                count, lambda term, sums: self.term(b.add(first, term), row, panel, sums), self.nothing_yet()
            )
            for own in range(self.shape.rows):
                at = b.add(row, INT(own))
                known = b.select(b.icmp_signed("<", at, last), at, last)  # rows beyond the batch have no constant
                new = self.at(state, b.add(b.mul(at, stride), column))
                fixed = self.at(constant, b.add(b.mul(known, constants), column))
                moved = self.get(self.spread(at))
                for vector in range(self.shape.vectors):
                    here = self.at(new, INT(vector * self.shape.lanes))
                    old, current = self.get(here), self.get(self.at(fixed, INT(vector * self.shape.lanes)))
                    wanted = self.fused(sums[own * self.shape.vectors + vector], alpha, current)
                    value = self.fused(b.fsub(wanted, old), pace, old)  # at rest it rounds to what it was
                    value = b.select(b.fcmp_ordered("<", value, low), low, value)  # NaN stays NaN
                    value = b.select(b.fcmp_ordered(">", value, high), high, value)
                    self.put(value, here)
                    moved = self.larger(moved, self.call("fabs", b.fsub(value, old)))
                self.put(moved, self.spread(at))

        self.loop(panels, lambda panel, _: self.loop(blocks, lambda number, _: block(number, panel)))

    def term(self, term: Value, row: Value, panel: Value, sums: Sequence[Value]) -> list[Value]:
        """What one sending layer adds to the sums of a block."""
        b, columns = self.b, INT(self.shape.columns)
        source, stride, units, weights = self.numbers(
            self.named["terms"], b.mul(term, INT(TERM_FIELDS)), TERM_FIELDS
        )
        source, weights = (b.inttoptr(address, REAL.as_pointer()) for address in (source, weights))
        samples = [self.at(source, b.mul(b.add(row, INT(r)), stride)) for r in range(self.shape.rows)]
        own = self.at(weights, b.mul(b.mul(panel, units), columns))

        def unit(number: Value, sums: Sequence[Value]) -> list[Value]:
            line = self.at(own, b.mul(number, columns))
            into = [self.get(self.at(line, INT(v * self.shape.lanes))) for v in range(self.shape.vectors)]
            sent = [self.splat(b.load(self.at(sample, number))) for sample in samples]
            pairs = [(state, weight) for state in sent for weight in into]
            return [self.fused(s, w, total) for (s, w), total in zip(pairs, sums, strict=True)]

        def stretch(number: Value, sums: Sequence[Value]) -> list[Value]:
            first = b.mul(number, INT(STRETCH))
            left = b.sub(units, first)
            count = b.select(b.icmp_signed("<", left, INT(STRETCH)), left, INT(STRETCH))
            added = self.loop(count, lambda more, sums: unit(b.add(first, more), sums), self.nothing_yet())
            return [b.fadd(total, more) for total, more in zip(sums, added, strict=True)]

        return self.loop(b.sdiv(b.add(units, INT(STRETCH - 1)), INT(STRETCH)), stretch, sums)

    def look(self, row: Value, swept: Value, restless: Value) -> Value:
        """Notes a sample's change; returns the number of restless ones so far."""
        b, given, lanes = self.b, self.named, self.shape.lanes
        moved, half = self.get(self.spread(row)), lanes // 2
        while half:
            turned = b.shuffle_vector(moved, moved, _places([(lane + half) % lanes for lane in range(lanes)]))
            moved, half = self.larger(moved, turned), half // 2
        change, since = b.extract_element(moved, PLACE(0)), self.at(given["since"], row)
        b.store(change, self.at(given["residual"], row))
        rests = b.fcmp_ordered("<=", change, given["tolerance"])
        b.store(b.select(rests, b.load(since), b.add(swept, INT(1))), since)
        return b.select(rests, restless, b.add(restless, INT(1)))

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

    def nothing_yet(self) -> list[Value]:
        return [self.zero] * (self.shape.rows * self.shape.vectors)

    def spread(self, row: Value) -> Value:
        """Where a sample's largest changes are, one a lane."""
        return self.at(self.named["spread"], self.b.mul(row, INT(self.shape.lanes)))

    def numbers(self, table: Value, first: Value, count: int) -> list[Value]:
        return [self.b.load(self.at(table, self.b.add(first, INT(n)))) for n in range(count)]

    def at(self, base: Value, number: Value) -> Value:
        return self.b.gep(base, [number])

    def get(self, place: Value) -> Value:
        return self.b.load(self.b.bitcast(place, self.vector.as_pointer()), align=4)

    def put(self, value: Value, place: Value) -> None:
        self.b.store(value, self.b.bitcast(place, self.vector.as_pointer()), align=4)

    def splat(self, value: Value) -> Value:
        nowhere = ir.Constant(self.vector, ir.Undefined)
        one = self.b.insert_element(nowhere, value, PLACE(0))
        return self.b.shuffle_vector(one, nowhere, _places([0] * self.shape.lanes))

    def fused(self, one: Value, other: Value, added: Value) -> Value:
        return self.call("fma", one, other, added)

    def larger(self, one: Value, other: Value) -> Value:
        """The larger of both; NaN where one is."""
        return self.call("maximum", one, other)

    def call(self, name: str, *values: Value) -> Value:
        whole = f"llvm.{name}.v{self.shape.lanes}f32"
        known = self.module.globals.get(whole)
        if known is None:
            known = ir.Function(self.module, ir.FunctionType(self.vector, [self.vector] * len(values)), whole)
        return self.b.call(known, values)


def _places(lanes: Sequence[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(PLACE, len(lanes)), list(lanes))
