import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_specs import codes, messages
from firmware_specs.chains import dense_chain
from firmware_specs.messages import MalformedError
from firmware_specs.topology import Conv, Dense, Layer, Topology

CONV = Topology(
    layers=(Layer(shape=(1, 8, 8)), Layer(shape=(4, 4, 4), slope=0.5), Layer(shape=(10,), clamped=False)),
    couplings=(Conv(pre=0, post=1, pool=True), Dense(pre=1, post=2, bias=False)),
)
RESISTIVE = Topology(
    substrate="resistive", source=(6,), layers=(Layer(shape=(3,)),), couplings=(Dense(pre=-1, post=0, bias=False),)
)
RNG = np.random.default_rng(0)
REGION = messages.Region(1, 2, 1, 3, 4, 5, 6)
RECORD = messages.LimitsRecord(1e-3, 0.2, 3.0, 1e-3, 1e6, float("inf"), 358.0, 10.0)


def some(dtype, *shape):
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


EXAMPLES = [
    messages.Sync(4, 7, "someone"),
    messages.Synced(1, True, 4, 9, 8, 7, 6, 5),
    messages.Credit(3),
    messages.Nak(1, 2, 3),
    messages.Refusal(0x21, 0, "zu groß"),
    messages.Identity("v", "m", "s", "f", 1, 2, codes.Capability.SETTLE),
    messages.FabricInfo(True, 1, 2, 3, 4, 5, (6, 7)),
    RECORD,
    messages.LimitsInfo(RECORD, RECORD),
    messages.Status(codes.State.ARMED, codes.Trip.NONE, 2.0, 1.5, 10.0, 3, 2, 1, "me"),
    messages.FaultQuery(3, 4),
    messages.FaultLog(9, (messages.Fault(8, 1.0, 0x101, "watchdog"),)),
    messages.SelfTest(False, (messages.SelfTestItem(True, 1.0, "adc"), messages.SelfTestItem(False, 0.0, "dac"))),
    messages.Configure(3, dense_chain([5, 4, 3], slope=0.5)),
    messages.Configure(0, CONV),
    messages.Configure(0, RESISTIVE),
    messages.Configured(((3, 4), (5, 6))),
    REGION,
    messages.WriteCells(1, (messages.Patch(REGION, some("u2", 4, 6)),), 10, 0.5),
    messages.WriteCells(1, (messages.Patch(REGION, some("u4", 2), np.array([0, 23], "u4")),)),
    messages.Written(1, 2, 3),
    messages.ReadCells(REGION, 3),
    messages.CellCodes(some("u1", 3, 4)),
    messages.CellUsage(some("u4", 2, 2), np.ones((2, 2))),
    messages.Pulse(REGION, False, 2.0, 1e-6, 7),
    messages.Pulse(REGION, True, 2.0, 1e-6, some("u2", 4, 6)),
    messages.Pulsed(1, 2),
    messages.Measure(REGION, np.array([0.1, -0.2]), 5),
    messages.Currents(np.array([1e-6, 2e-6])),
    messages.Settle(1, some("u2", 3, 4), (some("u1", 3, 2), some("u1", 3, 2)), (0, -1), 2, 0.5, (some("u2", 3, 4),)),
    messages.SettleReply(
        np.ones((2, 3), bool), some("u4", 2, 3), np.ones((2, 3), "f4"), np.full((2, 3), np.inf, "f4"), some("u4", 3),
        (some("u2", 2, 3, 5), some("u8", 2, 3, 1)),
    ),
    messages.Product(1, 0, codes.DIFFERENCE, True, some("u2", 3, 4), 2),
    messages.Update(2, some("u1", 3, 4), (), (messages.Term(0, 0, False),), np.array([0, 0.5, 2], "f4"), 0.25),
    messages.Coincide(
        1, 0.5, 1e-6, (messages.Train(REGION, False, some("u1", 5, 4) > 99, some("u1", 5, 6) > 99),)
    ),
    messages.Updated(2**40, 7, 0, 2**32 - 1),
    messages.ProductReply(some("u4", 3, 4)),
]  # fmt: skip
PARSERS = [*{type(example).parse for example in EXAMPLES}, messages.parse_converters, messages.parse_parameters,
           messages.parse_topology, messages.parse_array, messages.parse_number]  # fmt: skip


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: type(e).__name__)
def test_a_message_comes_back_as_it_was(example):
    payload = example.pack()
    parsed = type(example).parse(payload)
    assert parsed.pack() == payload
    assert str(parsed) == str(example)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: type(e).__name__)
def test_a_payload_that_is_cut_or_too_long_is_refused(example):
    payload = example.pack()
    for wrong in (payload[:-1], payload + b"\0", b""):
        with pytest.raises(MalformedError):
            type(example).parse(wrong)


@given(st.sampled_from(PARSERS), st.binary(max_size=200))
def test_any_payload_parses_or_is_malformed(parse, payload):
    try:
        parse(payload)
    except MalformedError as error:
        assert 0 <= error.offset <= len(payload)


@given(st.sampled_from(EXAMPLES), st.data())
def test_a_damaged_payload_parses_or_is_malformed(example, data):
    payload = bytearray(example.pack())
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        type(example).parse(bytes(payload))
    except MalformedError as error:
        assert error.offset <= len(payload)


def test_converters_and_parameters_come_back_as_they_were():
    converters = [messages.Converter(1, 1, 12, False, -1e-3, 1e-3), messages.Converter(3, 0, 32, True, 0.0, 1.0)]
    assert messages.parse_converters(messages.pack_converters(converters)) == converters
    parameters = {1: 1.0, 7: 10.0, 999: 5.0}
    assert messages.parse_parameters(messages.pack_parameters(parameters)) == parameters


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none_are_malformed(value):
    with pytest.raises(MalformedError, match="expected a finite number"):
        messages.parse_number(messages.pack_number(value))
    with pytest.raises(MalformedError):
        messages.Measure.parse(messages.Measure(REGION, np.array([value])).pack())


def test_a_code_has_the_smallest_width_that_holds_the_largest_value():
    assert [messages.width_for(v) for v in (1, 255, 256, 65535, 65536, 2**32 - 1, 2**32)] == [1, 1, 2, 2, 4, 4, 8]
    with pytest.raises(ValueError, match="more than 8 bytes"):
        messages.width_for(2**64)


@pytest.mark.parametrize("positions", [[1, 0], [0, 0], [0, 24]])
def test_listed_cells_rise_and_stay_in_their_region(positions):
    patch = messages.Patch(REGION, some("u2", 2), np.array(positions, "u4"))
    with pytest.raises(MalformedError, match="rising numbers below 24"):
        messages.WriteCells.parse(messages.WriteCells(1, (patch,)).pack())


def test_a_topology_that_does_not_fit_together_is_malformed():
    payload = bytearray(messages.pack_topology(dense_chain([3, 2])))
    payload[-9] = 7  # the coupling's post layer
    with pytest.raises(MalformedError, match="there are 2 layers"):
        messages.parse_topology(bytes(payload))
