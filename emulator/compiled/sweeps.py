"""The code of a dense chain's sweeps, in LLVM's language.

    for every sweep:
        for every layer, for every panel of its columns, for every block of samples:
            sum = 0
            for every term, for every unit of its source:
                sum += state of the source * weights
            new = clamp(old + pace * (alpha * sum + constant - old), low, high)
            the sample's change = max(the sample's change, |new - old|)
        stop when all samples changed by at most the tolerance

The sums of a block stay in registers.
"""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from emulator.compiled.code import INT, NUMBERS, PLACE, REAL, REALS, Code, Value, places
from emulator.compiled.tables import FIELDS, RAILS, TERM_FIELDS, Shape

ARGUMENTS = (
    ("samples", INT), ("layers", INT), ("first", INT), ("last", INT), ("tolerance", REAL), ("pace", REAL),
    ("fields", NUMBERS), ("terms", NUMBERS), ("reals", REALS),
    ("spread", REALS), ("residual", REALS), ("since", NUMBERS),
)  # fmt: skip
STRETCH = 128
"""Products that are summed before they are added to the rest: long sums round less in parts."""


def write(module: ir.Module, shape: Shape) -> None:
    """The function `sweeps`, which says 1 where all samples rest."""
    _Sweeps(module, shape).write()


class _Sweeps(Code):
    def __init__(self, module: ir.Module, shape: Shape) -> None:
        super().__init__(module, "sweeps", shape.lanes, ARGUMENTS, INT)
        self.shape = shape

    def write(self) -> None:
        """The whole function."""
        b, given, rows = self.b, self.named, self.shape.rows
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
        reals = self.numbers(given["reals"], b.mul(layer, INT(RAILS)), RAILS)
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
                    here = self.at(new, INT(vector * self.lanes))
                    old, current = self.get(here), self.get(self.at(fixed, INT(vector * self.lanes)))
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
        source, stride, units, weights = self.numbers(self.named["terms"], b.mul(term, INT(TERM_FIELDS)), TERM_FIELDS)
        source, weights = (b.inttoptr(address, REAL.as_pointer()) for address in (source, weights))
        samples = [self.at(source, b.mul(b.add(row, INT(r)), stride)) for r in range(self.shape.rows)]
        own = self.at(weights, b.mul(b.mul(panel, units), columns))

        def unit(number: Value, sums: Sequence[Value]) -> list[Value]:
            line = self.at(own, b.mul(number, columns))
            into = [self.get(self.at(line, INT(v * self.lanes))) for v in range(self.shape.vectors)]
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
        b, given, lanes = self.b, self.named, self.lanes
        moved, half = self.get(self.spread(row)), lanes // 2
        while half:
            turned = b.shuffle_vector(moved, moved, places([(lane + half) % lanes for lane in range(lanes)]))
            moved, half = self.larger(moved, turned), half // 2
        change, since = b.extract_element(moved, PLACE(0)), self.at(given["since"], row)
        b.store(change, self.at(given["residual"], row))
        rests = b.fcmp_ordered("<=", change, given["tolerance"])
        b.store(b.select(rests, b.load(since), b.add(swept, INT(1))), since)
        return b.select(rests, restless, b.add(restless, INT(1)))

    def nothing_yet(self) -> list[Value]:
        return [self.zero] * (self.shape.rows * self.shape.vectors)

    def spread(self, row: Value) -> Value:
        """Where a sample's largest changes are, one a lane."""
        return self.at(self.named["spread"], self.b.mul(row, INT(self.lanes)))
