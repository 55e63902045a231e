"""Who an instrument says it is, by whatever name its maker went when it was built."""

import pytest

from drivers.errors import ProtocolViolation
from drivers.instruments.opening import check_identity
from firmware_specs.racks.wiring import Instrument

SAYS = {
    "keysight-34980a": ["Agilent Technologies,34980A,MY1,2.43", "Keysight Technologies,34980A,MY1,2.43",
                        "HP,34980A,0,1",
                        "KEYSIGHT,34980A,MY2,2.51-2.43-2.07-1.05", "Hewlett-Packard,34980A,1,1"],
    "keysight-34465a": ["Keysight Technologies,34465A,MY1,A.02", "Agilent Technologies,34465A,MY1,A.01"],
    "keysight-b2902a": ["Agilent Technologies,B2902A,MY1,3.2", "Keysight Technologies,B2902A,MY1,3.4"],
    "keithley-2634b": ["Keithley Instruments Inc., Model 2634B, 1398687, 3.0.0"],
    "keithley-2602b": ["Keithley Instruments Inc., Model 2602B, 4, 3.2.2", "KEITHLEY INSTRUMENTS,MODEL 2602B,4,3.3.5"],
    "keithley-2612b": ["Keithley Instruments Inc., Model 2612B, 4, 3.2.2", "Tektronix,2612B,4,4.0"],
    "keithley-2400": ["KEITHLEY INSTRUMENTS INC.,MODEL 2400,1,C30", "KEITHLEY INSTRUMENTS INC.,MODEL 2400-LV,1,C30"],
    "keithley-2401": ["KEITHLEY INSTRUMENTS INC.,MODEL 2401,1,A01", "KEITHLEY INSTRUMENTS INC.,MODEL 2401-C,1,A01"],
    "keithley-2410": ["KEITHLEY INSTRUMENTS INC.,MODEL 2410,1,C33"],
    "keithley-2470": ["KEITHLEY INSTRUMENTS,MODEL 2470,1,1.7.7b"],
    "keithley-708b": ["Keithley Instruments Inc., Model 708B, 1, 01.40c"],
}  # fmt: skip


@pytest.mark.parametrize("model", SAYS)
def test_an_instrument_is_known_by_every_name_it_goes_by_and_by_no_other_models(model):
    for answer in SAYS[model]:
        check_identity(answer, "it", Instrument(model=model))
    for other, answers in SAYS.items():
        if other != model:
            with pytest.raises(ProtocolViolation, match=rf"it is a {other}.*model = \"{other}\""):
                check_identity(answers[0], "it", Instrument(model=model))


@pytest.mark.parametrize(
    "answer",
    ["", "nonsense", ",,,", "KEITHLEY INSTRUMENTS INC.", "ACME,MODEL 2400,1,1", "KEITHLEY INSTRUMENTS INC.,24000,1,1",
     "KEITHLEY INSTRUMENTS INC.,MODEL 240,1,1", "Keysight Technologies,MODEL 2400,1,1"],
)  # fmt: skip
def test_what_only_looks_like_it_is_another_instrument(answer):
    with pytest.raises(ProtocolViolation, match="nothing but"):
        check_identity(answer, "it", Instrument(model="keithley-2400"))


def test_the_serial_number_counts_where_the_bench_file_names_one():
    mine = Instrument(model="keithley-2400", serial="7")
    check_identity("KEITHLEY INSTRUMENTS INC.,MODEL 2400,7,C30", "smu", mine)
    with pytest.raises(ProtocolViolation, match="MODEL 2400,7"):
        check_identity("KEITHLEY INSTRUMENTS INC.,MODEL 2400,8,C30", "smu", mine)
