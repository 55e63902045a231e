"""Walks over other people's driver classes: every parameter read, every settable one set to the ends and the middle.

A walk says what it could not read or set, by name. The tests name what stays so and whose doing that is; everything
else must pass. What the instrument took and gave back as it was sent, and the driver misread, is kept apart: the
wire is the judge there.
"""

import contextlib
import inspect
import math
import warnings
from functools import partial

import pytest

LAB = """
[instruments.box]
model = "{model}"
address = "GPIB0::5::INSTR"
{extra}
[wires]
"box.{terminal}" = "a"

[[parts]]
dut = "{dut}"
between = ["a", "gnd"]
"""


class Report:
    """What passed, what the driver misread though it came back as sent, and why the others failed, by name."""

    def __init__(self):
        self.read, self.set, self.misread, self.failed_read, self.failed_set = [], [], {}, {}, {}

    def line(self):
        r, s, w = len(self.read), len(self.set), len(self.set) + len(self.misread)
        return f"read {r}/{r + len(self.failed_read)}, set {s}/{w + len(self.failed_set)}, on the wire {w}"

    def note(self, name, problems):
        """Problems of one name's points: (what, whether it came back on the wire as it was sent)."""
        if wrong := [what for what, came_back in problems if not came_back]:
            self.failed_set[name] = wrong[0]
        elif problems:
            self.misread[name] = problems[0][0]
        else:
            self.set.append(name)


class Wire:
    """The last command, and the last query with its answer."""

    command = query = answer = ""

    def came_back(self):
        """Did the query of the same header answer what the command sent, a shorter or longer spelling aside?"""
        header, _, sent = self.command.strip().partition(" ")
        asked, got = self.query.strip().split("?")[0], self.answer.strip()
        if header.lstrip(":").upper() != asked.lstrip(":").upper():
            return False
        sent, got = ({"ON": "1", "OFF": "0"}.get(word, word) for word in (t.strip("\"'").upper() for t in (sent, got)))
        try:
            return float(sent) == float(got)
        except ValueError:
            return len(got) > 2 and (sent.startswith(got) or got.startswith(f"{sent}:"))


WIRE = Wire()


def number(value):
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def same(wanted, got, holds):
    wanted, got = (v if isinstance(v, bool) else number(v) for v in (wanted, got))
    if any(isinstance(v, bool | str | list | dict) for v in (wanted, got)):
        return wanted == got
    wanted, got = float(wanted), float(got)
    if holds:
        return abs(wanted) <= abs(got) * 1.06
    return math.isclose(wanted, got, rel_tol=1e-5, abs_tol=1e-12)


def qcodes_parameters(module):
    from qcodes.parameters import Parameter

    for parameter in module.parameters.values():
        if isinstance(parameter, Parameter):
            yield parameter
    for inner in module.submodules.values():
        yield from qcodes_parameters(inner)


def qcodes_points(parameter):
    from qcodes.validators import Bool, Enum, Ints, MultiType, Numbers

    if parameter.val_mapping:
        return list({raw: key for key, raw in parameter.val_mapping.items()}.values())
    validator = parameter.vals
    if isinstance(validator, MultiType):
        validator = next((v for v in validator._validators if isinstance(v, Numbers | Ints)), validator._validators[0])
    if isinstance(validator, Ints):
        return [validator.min_value, (validator.min_value + validator.max_value) // 2, validator.max_value]
    if isinstance(validator, Numbers):
        low, high = validator.min_value, validator.max_value
        return [low, (low + high) / 2, high] if math.isfinite(low) and math.isfinite(high) else []
    if isinstance(validator, Enum):
        return list(validator._values)
    if isinstance(validator, Bool):
        return [True, False]
    return []


def walk_qcodes(instrument, errors, before=lambda name: None, points=None):
    """Reads and sets everything.

    Args:
        instrument: An open driver.
        errors: Gives what is in the instrument's error queue, as a list.
        before: Puts things right before a parameter is touched, by its name.
        points: What to set where the driver's own validator names nothing, by name.
    """
    report = Report()
    for parameter in qcodes_parameters(instrument):
        name = parameter.full_name.removeprefix(instrument.name + "_")
        before(name)
        if parameter.gettable:
            try:
                parameter.get()
                problem = "; ".join(errors())
            except Exception as error:
                problem = f"{type(error).__name__}: {str(error)[:160]} {'; '.join(errors())}"
            if problem:
                report.failed_read[name] = problem
            else:
                report.read.append(name)
        if (
            parameter.settable
            and parameter.gettable
            and parameter._implements_set_raw | (parameter.set_raw is not None)
        ):
            _set_qcodes(parameter, name, errors, report, (points or {}).get(name))
    print(type(instrument).__name__, report.line())  # shown by `pytest -rP`
    return report


def _set_qcodes(parameter, name, errors, report, points):
    from qcodes.parameters import ParameterWithSetpoints

    if isinstance(parameter, ParameterWithSetpoints):
        return
    try:
        first = parameter.get()
        errors()
    except Exception:
        first = None
    points = points or qcodes_points(parameter) or ([] if first is None else [first])
    if not points:
        return
    holds = "range" in name and "auto" not in name
    mapping = parameter.val_mapping or {}

    def alike(point, got):
        return point in mapping and got in mapping and mapping[point] == mapping[got]

    report.note(name, _problems(points, parameter.set, parameter.get, errors, holds, alike if mapping else None))
    if first is not None:
        with contextlib.suppress(Exception):
            parameter.set(first)
        errors()


def _problems(points, put, get, errors, holds, alike=None):
    """What is wrong with each point that does not come back: (what, whether it does on the wire)."""
    found = []
    for point in points:
        came_back = False
        try:
            put(point)
            got = get()
            came_back = WIRE.came_back()
            problem = "" if same(point, got, holds) or (alike and alike(point, got)) else f"got {got!r}"
        except Exception as error:
            came_back = WIRE.came_back()
            problem = f"{type(error).__name__}: {str(error)[:160]}"
        if wrong := errors():
            problem, came_back = f"{problem} {'; '.join(wrong)}", False
        if problem:
            found.append((f"set {point!r}: {problem}", came_back))
    return found


def pymeasure_properties(cls):
    for name, prop in inspect.getmembers(cls):
        if isinstance(prop, property) and not name.startswith("_"):
            yield name, prop


def pymeasure_points(prop):
    if prop.fset is None:
        return []
    parameters = inspect.signature(prop.fset).parameters
    values = parameters["values"].default if "values" in parameters else ()
    if isinstance(values, dict):
        return list(values)
    values = list(values)
    if not values:
        return []
    validator = getattr(parameters["validator"].default, "__name__", "") if "validator" in parameters else ""
    if len(values) > 2 or isinstance(values[0], str) or "discrete_set" in validator:
        return values
    low, high = values
    whole = isinstance(low, int) and isinstance(high, int)
    return [low, (low + high) // 2 if whole else (low + high) / 2, high]


def pymeasure_names(prop):
    """Tells whether two names of a property's map are of one value; None where it has no map."""
    found = inspect.signature(prop.fset).parameters.get("values")
    values = found.default if found else None
    if not isinstance(values, dict):
        return None
    return lambda one, other: one in values and other in values and values[one] == values[other]


def pymeasure_has(function, command):
    """Properties of PyMeasure have both functions; one without a command only raises."""
    if function is None:
        return False
    found = inspect.signature(function).parameters.get(command)
    return found is None or found.default is not None


def walk_pymeasure(instrument, errors, skip=(), before=lambda name: None, cls=None, points=None):
    """As `walk_qcodes`; `skip`: what the class itself calls deprecated."""
    report = Report()
    for name, prop in pymeasure_properties(cls or type(instrument)):
        if name in skip:
            continue
        before(name)
        first = None
        gettable = pymeasure_has(prop.fget, "get_command")
        if gettable:
            try:
                first = getattr(instrument, name)
                problem = "; ".join(errors())
            except Exception as error:
                problem = f"{type(error).__name__}: {str(error)[:160]} {'; '.join(errors())}"
            if problem:
                report.failed_read[name] = problem
            else:
                report.read.append(name)
        if not pymeasure_has(prop.fset, "set_command") or not gettable:
            continue
        holds = ("range" in name and "enabled" not in name) or name.startswith("compliance")
        levels = (points or {}).get(name) or pymeasure_points(prop) or ([] if first is None else [first])
        if not levels:
            continue
        put, get = partial(setattr, instrument, name), partial(getattr, instrument, name)
        report.note(name, _problems(levels, put, get, errors, holds, pymeasure_names(prop)))
        if first is not None:
            with contextlib.suppress(Exception):
                setattr(instrument, name, first)
            errors()
    print(type(instrument).__name__, report.line())
    return report


@pytest.fixture(autouse=True)
def wire(monkeypatch):
    """Listens to what goes over the wires of the laboratory."""
    from emulator.visa.library import HilVisaLibrary

    written, said = HilVisaLibrary.write, HilVisaLibrary.read

    def write(library, session, data):
        text = bytes(data).decode("latin-1")
        if "?" in text:
            WIRE.query, WIRE.answer = text, ""
        else:
            WIRE.command = text
        return written(library, session, data)

    def read(library, session, count):
        data, status = said(library, session, count)
        WIRE.answer += bytes(data).decode("latin-1")
        return data, status

    monkeypatch.setattr(HilVisaLibrary, "write", write)
    monkeypatch.setattr(HilVisaLibrary, "read", read)
    return WIRE


@pytest.fixture
def lab(tmp_path):
    """Writes a laboratory with one instrument and one part, and gives the name of its VISA library."""

    def write(model, dut="resistor:1e3", terminal=None, extra=""):
        from firmware_specs.racks import facts

        channels = facts(model).channels
        path = tmp_path / f"{model}.toml"
        path.write_text(LAB.format(model=model, dut=dut, extra=extra, terminal=terminal or (channels or ("hi",))[0]))
        return f"{path}@hil"

    return write


@pytest.fixture
def qcodes():
    """The walk over a QCoDeS driver; every instrument is closed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("qcodes", reason="QCoDeS is not installed: pip install crossbar-hil[peers]")
        from qcodes.instrument import Instrument
    yield walk_qcodes
    Instrument.close_all()


@pytest.fixture
def pymeasure():
    """The walk over a PyMeasure driver."""
    return walk_pymeasure


@pytest.fixture
def scpi_errors():
    """What is in the error queue of a SCPI instrument, emptied."""

    def of(ask):
        def errors():
            found = []
            while int((entry := ask("SYST:ERR?").strip()).split(",")[0]):
                found.append(entry)
            return found

        return errors

    return of
