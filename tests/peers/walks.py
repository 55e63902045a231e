"""Walks over other people's driver classes: every parameter read, every settable one set to the ends and the middle.

A walk says what it could not read or set, by name. A setting that does not come back is the driver's own mistake where
the wire shows it (`wire.py`), and is counted apart; everything else must pass.
"""

import contextlib
import importlib.util
import inspect
import math
import sys
from functools import partial
from pathlib import Path

from firmware_specs.instruments import load_table, tables


def _beside(name):
    spec = importlib.util.spec_from_file_location(f"peers_{name}", Path(__file__).with_name(f"{name}.py"))
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


wires = _beside("wire")
WIRE = wires.Wire()
OTHERS = {name: load_table(name) for name in tables()}


class Report:
    """What passed; what did not, by name: the driver's own mistakes, computed from the wire, and the rest.

    Args:
        table: Name of the instrument's command table.
        pages: What a manual says of a command beside its range, see `wire.verdict`.
    """

    def __init__(self, table, pages=None):
        self.table, self.pages = load_table(table), pages or {}
        self.read, self.theirs_read, self.failed_read = [], {}, {}
        self.set, self.theirs, self.failed_set = [], {}, {}

    def line(self):
        own = "; ".join(f"{name} {why}" for name, why in (self.theirs_read | self.theirs).items())
        read = _share(len(self.read), self.theirs_read, self.failed_read)
        return f"read {read}; set {_share(len(self.set), self.theirs, self.failed_set)} [{own}]"

    def note(self, name, problems):
        """Problems of one name's points: (what, whose mistake the wire shows it to be)."""
        if wrong := [what for what, whose in problems if not whose]:
            self.failed_set[name] = wrong[0]
        elif problems:
            self.theirs[name] = problems[0][1]
        else:
            self.set.append(name)

    def note_reading(self, name, problem, errors):
        """What cannot be read, and whose mistake the wire shows that to be."""
        if not problem and not errors:
            self.read.append(name)
        elif whose := wires.reading_verdict(WIRE, errors, self.table, OTHERS):
            self.theirs_read[name] = whose
        else:
            self.failed_read[name] = f"{problem} {'; '.join(errors)}"

    def whose(self, point, errors):
        return wires.verdict(WIRE, point, errors, self.table, self.pages)


def _share(passed, theirs, failed):
    """`14/20, 5 the driver's own, 93 % of the rest`."""
    rest = passed + len(failed)
    of_rest = f"{100 * passed / rest:.0f} %" if rest else "none"
    return f"{passed}/{rest + len(theirs)}, {len(theirs)} the driver's own, {of_rest} of the rest"


@contextlib.contextmanager
def unheard():
    """What goes over the wire meanwhile is not looked at."""
    WIRE.quiet = True
    try:
        yield
    finally:
        WIRE.quiet = False


def number(value):
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def same(wanted, got, holds):
    wanted, got = (v if isinstance(v, bool) else number(v) for v in (wanted, got))
    if isinstance(wanted, str) and isinstance(got, dict):  # one for all channels
        return set(got.values()) == {wanted}
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


def walk_qcodes(instrument, table, errors, before=lambda name: None, points=None, pages=None):
    """Reads and sets everything.

    Args:
        instrument: An open driver.
        table: Name of the instrument's command table.
        errors: Gives what is in the instrument's error queue, as a list.
        before: Puts things right before a parameter is touched, by its name.
        points: What to set where the driver's own validator names nothing, by name.
        pages: What a manual says of a command beside its range, see `wire.verdict`.
    """
    report = Report(table, pages)
    for parameter in qcodes_parameters(instrument):
        name = parameter.full_name.removeprefix(instrument.name + "_")
        before(name)
        if parameter.gettable:
            _read(report, name, parameter.get, errors)
        if (
            parameter.settable
            and parameter.gettable
            and parameter._implements_set_raw | (parameter.set_raw is not None)
        ):
            _set_qcodes(parameter, name, errors, report, (points or {}).get(name))
    print(type(instrument).__name__, report.line())  # shown by `pytest -rP`
    return report


def _read(report, name, get, errors):
    """Reads one parameter; what it is, or None."""
    WIRE.clear()
    value, problem = None, ""
    try:
        value = get()
    except Exception as error:
        problem = f"{type(error).__name__}: {str(error)[:160]}"
    with unheard():
        wrong = errors()
    report.note_reading(name, problem, wrong)
    return value


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

    problems = _problems(report, points, parameter.set, parameter.get, errors, holds, alike if mapping else None)
    report.note(name, problems)
    if first is not None:
        with contextlib.suppress(Exception):
            parameter.set(first)
        errors()


def _problems(report, points, put, get, errors, holds, alike=None):
    """What is wrong with each point that does not come back: (what, whose mistake that is)."""
    found = []
    for point in points:
        WIRE.clear()
        try:
            put(point)
            got = get()
            problem = "" if (alike and alike(point, got)) or same(point, got, holds) else f"got {got!r}"
        except Exception as error:
            problem = f"{type(error).__name__}: {str(error)[:160]}"
        with unheard():
            wrong = errors()
        if problem or wrong:
            found.append((f"set {point!r}: {problem} {'; '.join(wrong)}", report.whose(point, wrong)))
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


def walk_pymeasure(
    instrument, table, errors, skip=(), before=lambda name: None, cls=None, points=None, pages=None, alike=None
):
    """As `walk_qcodes`; `skip`: what the class calls deprecated; `alike`: by name, whether two values are one."""
    report = Report(table, pages)
    for name, prop in pymeasure_properties(cls or type(instrument)):
        if name in skip:
            continue
        before(name)
        first = None
        gettable = pymeasure_has(prop.fget, "get_command")
        if gettable:
            first = _read(report, name, partial(getattr, instrument, name), errors)
        if not pymeasure_has(prop.fset, "set_command") or not gettable:
            continue
        holds = ("range" in name and "enabled" not in name) or name.startswith("compliance")
        levels = (points or {}).get(name) or pymeasure_points(prop) or ([] if first is None else [first])
        if not levels:
            continue
        put, get = partial(setattr, instrument, name), partial(getattr, instrument, name)
        names = (alike or {}).get(name) or pymeasure_names(prop)
        report.note(name, _problems(report, levels, put, get, errors, holds, names))
        if first is not None:
            with contextlib.suppress(Exception):
                setattr(instrument, name, first)
            errors()
    print(type(instrument).__name__, report.line())
    return report
