"""Walks over other people's driver classes: every parameter read, every settable one set to the ends and the middle.

A walk says what it could not read or set, by name. The tests name what stays so and whose doing that is; everything
else must pass.
"""

import contextlib
import inspect
import math
import warnings

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
    """What passed, and why the others did not, by name."""

    def __init__(self):
        self.read, self.set, self.failed_read, self.failed_set = [], [], {}, {}

    def line(self):
        r, s = len(self.read), len(self.set)
        rt, st = r + len(self.failed_read), s + len(self.failed_set)
        return f"read {r}/{rt}, set {s}/{st}"


def number(value):
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def same(wanted, got, holds):
    wanted, got = (v if isinstance(v, bool) else number(v) for v in (wanted, got))
    if isinstance(wanted, bool) or isinstance(got, bool) or isinstance(wanted, str) or isinstance(got, str):
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


def walk_qcodes(instrument, errors, before=lambda: None):
    """Reads and sets everything.

    Args:
        instrument: An open driver.
        errors: Gives what is in the instrument's error queue, as a list.
        before: Puts things right before a parameter is touched.
    """
    report = Report()
    for parameter in qcodes_parameters(instrument):
        name = parameter.full_name.removeprefix(instrument.name + "_")
        before()
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
            _set_qcodes(parameter, name, errors, report)
    print(type(instrument).__name__, report.line())  # shown by `pytest -rP`
    return report


def _set_qcodes(parameter, name, errors, report):
    from qcodes.parameters import ParameterWithSetpoints

    if isinstance(parameter, ParameterWithSetpoints):
        return
    try:
        first = parameter.get()
        errors()
    except Exception:
        first = None
    points = qcodes_points(parameter) or ([] if first is None else [first])
    if not points:
        return
    holds = "range" in name and "auto" not in name
    for point in points:
        try:
            parameter.set(point)
            got = parameter.get()
            problem = "; ".join(errors())
            mapping = parameter.val_mapping or {}
            alike = point in mapping and got in mapping and mapping[point] == mapping[got]
            if not problem and not alike and not same(point, got, holds):
                problem = f"set {point!r}, got {got!r}"
        except Exception as error:
            problem = f"{point!r}: {type(error).__name__}: {str(error)[:160]} {'; '.join(errors())}"
        if problem:
            report.failed_set[name] = f"{point!r}: {problem}"
            break
    else:
        report.set.append(name)
    if first is not None:
        with contextlib.suppress(Exception):
            parameter.set(first)
        errors()


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


def pymeasure_has(function, command):
    """Properties of PyMeasure have both functions; one without a command only raises."""
    if function is None:
        return False
    found = inspect.signature(function).parameters.get(command)
    return found is None or found.default is not None


def walk_pymeasure(instrument, errors, skip=(), before=lambda: None, cls=None):
    """As `walk_qcodes`; `skip`: what the class itself calls deprecated."""
    report = Report()
    for name, prop in pymeasure_properties(cls or type(instrument)):
        if name in skip:
            continue
        before()
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
        points = pymeasure_points(prop) or ([] if first is None else [first])
        for point in points:
            try:
                setattr(instrument, name, point)
                got = getattr(instrument, name)
                problem = "; ".join(errors())
                if not problem and not same(point, got, holds):
                    problem = f"set {point!r}, got {got!r}"
            except Exception as error:
                problem = f"{type(error).__name__}: {str(error)[:160]} {'; '.join(errors())}"
            if problem:
                report.failed_set[name] = f"{point!r}: {problem}"
                break
        else:
            if points:
                report.set.append(name)
        if first is not None:
            with contextlib.suppress(Exception):
                setattr(instrument, name, first)
            errors()
    print(type(instrument).__name__, report.line())
    return report


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
