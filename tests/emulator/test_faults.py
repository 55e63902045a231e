import pytest

from emulator.faults import KINDS, FaultPlan, FaultSpecError, frame_cutter, message_cutter


def test_a_specification_names_rates_seed_and_times():
    plan = FaultPlan.parse("lost-reply=0.01, bit_flip=0.02,seed=3,late_s=0.2,busy_ms=7")
    assert plan == FaultPlan({"lost_reply": 0.01, "bit_flip": 0.02}, 3, 0.2, 1.0, 7)
    assert FaultPlan.parse("") == FaultPlan()
    assert len(KINDS) == 14


@pytest.mark.parametrize(
    ("text", "reason"),
    [("lost=0.1", "unknown fault 'lost'; there are lost_request"), ("nak", "expected NAME=RATE"),
     ("nak=often", "expected NAME=RATE"), ("nak=2", "a rate is a probability"), ("nak=nan", "expected NAME=RATE"),
     ("nak=0.6,busy=0.6", r"add up to 1.2")],
)  # fmt: skip
def test_other_specifications_are_refused_with_the_reason(text, reason):
    with pytest.raises(FaultSpecError, match=reason):
        FaultPlan.parse(text)


def test_units_are_frames_and_messages_whatever_the_portions():
    cut = frame_cutter()
    assert cut(b"\0ab\0c") == [b"ab\0"] and cut(b"d\0\0") == [b"cd\0"]
    cut = message_cutter()
    assert cut(b"*ID") == [] and cut(b"N?\nX #13a\nb\n") == [b"*IDN?\n", b"X #13a\nb\n"]
