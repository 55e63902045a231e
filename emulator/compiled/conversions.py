"""The code of converters, in LLVM's language: one pass where tensors take ten, and the same numbers to the last bit.

Every product and sum is rounded on its own, as `emulator.converters` rounds them, which has the formulas.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from emulator.compiled.code import INT, NUMBERS, PLACE, REAL, REALS, Code, Value

ARGUMENTS = (
    ("samples", INT), ("units", INT), ("curved", INT), ("noisy", INT), ("sigma", REAL), ("value", REALS),
    ("gain", REALS), ("offset", REALS), ("curve", REALS), ("noise", REALS), ("scales", REALS), ("out", REALS),
    ("count", NUMBERS),
)  # fmt: skip
LOW, HIGH, PER_CODE, STEP, LSB, TOP = range(6)
"""Places among the scales: both ends, codes a unit, units a code (as two formulas round it), largest code."""


def write(module: ir.Module, lanes: int) -> None:
    """The functions `send` and `read`, for at least as many units as lanes."""
    _Dac(module, "send", lanes, ARGUMENTS, ir.VoidType()).write()
    _Adc(module, "read", lanes, ARGUMENTS, ir.VoidType()).write()


class _Converter(Code):
    def write(self) -> None:
        """The whole function: samples one by one, units a vector at a time; the last one overlaps the one before."""
        b, given, lanes = self.b, self.named, self.lanes
        self.scales = [self.splat(value) for value in self.numbers(given["scales"], INT(0), TOP + 1)]
        self.curved, self.noisy = (b.icmp_signed("!=", given[name], INT(0)) for name in ("curved", "noisy"))
        self.sigma = self.splat(given["sigma"])
        units = given["units"]
        vectors, last = b.sdiv(b.add(units, INT(lanes - 1)), INT(lanes)), b.sub(units, INT(lanes))

        def sample(number: Value) -> None:
            row = b.mul(number, units)

            def vector(number: Value, counted: Value) -> Value:
                wanted = b.mul(number, INT(lanes))
                at = b.select(b.icmp_signed("<", wanted, last), wanted, last)
                here = b.add(row, at)
                result, marked = self.convert(self.value(here), at)
                self.put(result, self.at(given["out"], here))
                return b.add(counted, self.counted(marked, b.sub(wanted, at)))

            (counted,) = self.loop(vectors, lambda number, held: [vector(number, held[0])], [INT(0)])
            b.store(counted, self.at(given["count"], number))

        self.loop(given["samples"], lambda number, _: sample(number))
        b.ret_void()

    def convert(self, value: Value, at: Value) -> tuple[Value, Value]:
        """What becomes of a vector of values, and which of them count."""
        raise NotImplementedError

    def counted(self, marked: Value, seen: Value) -> Value:
        """How many lanes are marked, without the first ones, which the vector before has counted."""
        b, mask = self.b, ir.IntType(self.lanes)
        bits = b.lshr(b.bitcast(marked, mask), b.trunc(seen, mask))
        name = f"llvm.ctpop.i{self.lanes}"
        known = self.module.globals.get(name) or ir.Function(self.module, ir.FunctionType(mask, [mask]), name)
        return b.zext(b.call(known, [bits]), INT)

    def codes(self, value: Value) -> Value:
        """`clip(round((x - low) / lsb), 0, max_code)`; NaN stays NaN."""
        b, s = self.b, self.scales
        code = self.call("rint", b.fmul(b.fsub(value, s[LOW]), s[PER_CODE]))
        return self.within(code, self.zero, s[TOP])

    def values(self, code: Value) -> Value:
        """`low + code * lsb`."""
        return self.b.fadd(self.b.fmul(code, self.scales[STEP]), self.scales[LOW])

    def within(self, value: Value, low: Value, high: Value) -> Value:
        """Between both; NaN stays NaN."""
        b = self.b
        value = b.select(b.fcmp_ordered("<", value, low), low, value)
        return b.select(b.fcmp_ordered(">", value, high), high, value)

    def curve(self, code: Value) -> Value:
        """Nonlinearity at codes, LSB; at code 0 for NaN, and 0 where the converter has none."""
        b = self.b
        there = b.select(b.fcmp_unordered("uno", code, code), self.zero, code)
        index = b.fptosi(there, ir.VectorType(PLACE, self.lanes))

        def looked_up() -> Value:
            bent = self.zero
            for lane in range(self.lanes):
                place = b.sext(b.extract_element(index, PLACE(lane)), INT)
                bent = b.insert_element(bent, b.load(self.at(self.named["curve"], place)), PLACE(lane))
            return bent

        return self.where(self.curved, looked_up, self.zero)

    def value(self, here: Value) -> Value:
        """What is to be converted, with noise where there is any."""
        b, plain = self.b, self.get(self.at(self.named["value"], here))

        def noisy() -> Value:
            return b.fadd(b.fmul(self.get(self.at(self.named["noise"], here)), self.sigma), plain)

        return self.where(self.noisy, noisy, plain)

    def where(self, condition: Value, found: Callable[[], Value], otherwise: Value) -> Value:
        """A vector that is formed only where it is asked for."""
        b, outside = self.b, self.b.block
        inside, after = (self.function.append_basic_block() for _ in range(2))
        b.cbranch(condition, inside, after)
        b.position_at_end(inside)
        formed, last = found(), b.block
        b.branch(after)
        b.position_at_end(after)
        value = b.phi(self.vector)
        value.add_incoming(otherwise, outside)
        value.add_incoming(formed, last)
        return value

    def channel(self, name: str, at: Value) -> Value:
        """An error of every unit's channel."""
        return self.get(self.at(self.named[name], at))

    def amplified(self, value: Value, at: Value) -> Value:
        """`x (1 + gain)`."""
        one = ir.Constant(self.vector, [REAL(1)] * self.lanes)
        return self.b.fmul(value, self.b.fadd(one, self.channel("gain", at)))


class _Dac(_Converter):
    def convert(self, value: Value, at: Value) -> tuple[Value, Value]:
        """Values sent, and which of the wanted ones are beyond the range."""
        b, s = self.b, self.scales
        beyond = b.or_(b.fcmp_ordered("<", value, s[LOW]), b.fcmp_ordered(">", value, s[HIGH]))
        code = self.codes(self.within(value, s[LOW], s[HIGH]))
        error = b.fadd(self.curve(code), self.channel("offset", at))
        return b.fadd(self.amplified(self.values(code), at), b.fmul(error, s[LSB])), beyond


class _Adc(_Converter):
    def convert(self, value: Value, at: Value) -> tuple[Value, Value]:
        """Readings, and which of them are at a rail."""
        b, s = self.b, self.scales
        value = b.fadd(self.amplified(value, at), b.fmul(self.channel("offset", at), s[LSB]))
        code = self.codes(b.fadd(value, b.fmul(self.curve(self.codes(value)), s[LSB])))
        rail = b.or_(b.fcmp_ordered("==", code, self.zero), b.fcmp_ordered("==", code, s[TOP]))
        return self.values(code), rail
