"""The meter in docs/new-instrument.md plays its part."""

import re
from pathlib import Path

import pytest

from drivers.errors import DeviceError

PAGE = Path(__file__).parents[2] / "docs" / "new-instrument.md"


class Script:
    """A dialogue with the answers of a meter."""

    address = "script:"

    def __init__(self, answers):
        self.answers, self.lines = answers, []

    def write(self, line):
        self.lines.append(line)

    def ask(self, line):
        self.lines.append(line)
        return self.answers[line]


def meter(answers):
    names = {}
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1)
    exec(compile(code, "new-instrument.md", "exec"), names)
    script = Script(answers)
    return names["MyMeter"](script, "meter"), script


def test_the_meter_of_the_page_sets_reads_back_and_measures():
    made, script = meter({"SENS:VOLT:DC:NPLC?": "1.0", "READ?": "+1.25E-01"})
    made.configure(range_v=0.1, nplc=1.0)
    assert made.measure() == 0.125
    assert script.lines == ["CONF:VOLT:DC 0.1", "SENS:VOLT:DC:NPLC 1", "SENS:VOLT:DC:NPLC?", "READ?"]


def test_the_meter_of_the_page_refuses_what_is_not_as_set():
    with pytest.raises(DeviceError, match="integration"):
        meter({"SENS:VOLT:DC:NPLC?": "10"})[0].configure(range_v=0.1, nplc=1.0)
