"""What is chosen by name: shipped, brought by other packages, named on the command line; never imported by a file."""

import sys
from importlib.metadata import EntryPoint, EntryPoints, entry_points

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from firmware_specs import registry
from firmware_specs.refusals import explain
from firmware_specs.registry import KINDS, NameTaken, UnknownName, lookup, modules


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """What a test registers or trusts is gone after it."""
    monkeypatch.setattr(lookup, "_registered", {kind: {} for kind in KINDS})
    monkeypatch.setattr(modules, "_trusted", set())
    monkeypatch.setattr(modules, "_plugins", [])


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that can be imported by the name it returns."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made = []

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        made.append(name)
        return name

    yield write
    for name in made:
        sys.modules.pop(name, None)


def test_every_shipped_thing_can_be_loaded_and_says_what_it_is():
    for kind in KINDS:
        for entry in registry.entries(kind):
            assert entry.load() is not None
            assert entry.summary, f"{kind} {entry.name} has no docstring"
            assert not entry.summary.startswith("cannot be loaded"), (kind, entry.name, entry.summary)


def test_groups_of_entry_points_are_kinds():
    ours = {group for group in entry_points().groups if group.startswith("hil.")}
    assert ours == {f"hil.{kind}" for kind in KINDS}  # shipped things of every kind register as others do


def test_what_a_module_registers_is_found_and_its_origin_is_said():
    def huber(scores, labels):
        """Huber loss."""

    assert registry.register("losses", "huber", huber) is huber
    assert registry.find("losses", "huber") is huber
    (entry,) = [entry for entry in registry.entries("losses") if entry.name == "huber"]
    assert (entry.summary, entry.origin) == ("Huber loss.", __name__)


def test_the_decorator_registers_what_it_decorates():
    @registry.register("losses", "mine")
    def mine(scores, labels):
        return 0

    assert registry.find("losses", "mine") is mine


def test_a_name_that_is_there_is_not_replaced():
    with pytest.raises(NameTaken, match="a loss 'mse' is there already"):
        registry.register("losses", "mse", print)


def test_the_same_thing_may_be_registered_again_as_a_reload_does(module):
    name = module("again", "from firmware_specs import registry\n@registry.register('losses', 'a')\ndef f(a, b): 0\n")
    registry.plugin(name)
    del sys.modules[name]
    registry.plugin(name)
    assert registry.plugins() == (name,)


def test_an_unknown_name_says_what_is_close():
    with pytest.raises(UnknownName, match="'mes' is not a loss; did you mean mse"):
        registry.find("losses", "mes")


def test_an_unknown_kind_says_what_is_close():
    with pytest.raises(UnknownName, match="'loses' is no kind of thing; did you mean losses"):
        registry.find("loses", "mse")


def test_a_path_is_refused_until_a_person_has_named_its_module(module):
    name = module("stranger", "raise RuntimeError('was imported')\n")
    with pytest.raises(UnknownName, match="if you trust it, add --plugin stranger"):
        registry.find("losses", f"{name}:loss")
    assert name not in sys.modules


def test_a_path_into_a_named_module_is_found(module):
    name = module("lossy", "class a:\n    @staticmethod\n    def loss(scores, labels): return 1\n")
    registry.trust(name)
    assert registry.find("losses", f"{name}:a.loss")(0, 0) == 1
    with pytest.raises(UnknownName, match="has no attribute 'los'"):
        registry.find("losses", f"{name}:a.los")


@pytest.mark.parametrize(
    ("text", "why"), [("raise KeyError('x')", "KeyError"), ("1 +", "SyntaxError"), (None, "No module named 'broken'")]
)
def test_a_module_that_cannot_be_imported_is_named_with_the_reason(module, text, why):
    if text is not None:
        module("broken", text)
    with pytest.raises(UnknownName, match=f"module 'broken' cannot be imported: .*{why}"):
        registry.plugin("broken")


class Package:
    """A distribution that was installed by somebody else."""

    def __init__(self, name):
        self.name, self.version = name, "1.2"


def installed(monkeypatch, *points):
    """Entry points of other packages beside ours."""
    ours = lookup.entry_points()
    ours = [point for group in ours.groups for point in ours.select(group=group)]
    monkeypatch.setattr(lookup, "entry_points", lambda: EntryPoints((*ours, *points)))
    lookup.look_again()


@pytest.fixture
def foreign(monkeypatch):
    def add(*points):
        installed(
            monkeypatch, *(EntryPoint(name, value, f"hil.{kind}")._for(Package(by)) for by, kind, name, value in points)
        )

    yield add
    monkeypatch.undo()
    lookup.look_again()


def test_another_package_brings_things_and_cannot_replace_shipped_ones(foreign):
    foreign(("theirs", "losses", "l1", "math:dist"), ("theirs", "losses", "mse", "math:sqrt"))
    assert registry.find("losses", "l1")([0.0], [2.0]) == 2.0
    assert registry.find("losses", "mse").__name__ == "half_squared_error"
    assert "theirs 1.2" in [entry.origin for entry in registry.entries("losses")]


def test_a_name_of_two_packages_is_refused_with_both(foreign):
    foreign(("one", "losses", "l1", "math:fabs"), ("two", "losses", "l1", "math:sqrt"))
    with pytest.raises(UnknownName, match=r"both one 1\.2 and two 1\.2 bring it"):
        registry.find("losses", "l1")


def test_a_broken_package_hurts_only_who_names_its_thing(foreign):
    foreign(("broken", "losses", "l1", "no_such_module:thing"))
    assert registry.find("losses", "mse")
    (entry,) = [entry for entry in registry.entries("losses") if entry.name == "l1"]
    assert entry.summary.startswith("cannot be loaded: ModuleNotFoundError")
    with pytest.raises(UnknownName, match=r"'l1' of broken 1\.2 cannot be loaded"):
        registry.find("losses", "l1")


class Squash(BaseModel, extra="forbid"):
    """A layer of somebody's own."""

    kind: str
    gain: float

    def build(self, shape):
        return None


def test_a_section_of_ones_own_is_validated_by_its_own_class_and_refused_by_key():
    registry.register("layers", "squash", Squash)
    layer = TypeAdapter(registry.choice("layers"))
    assert layer.validate_python({"kind": "squash", "gain": 2}) == Squash(kind="squash", gain=2)
    assert layer.dump_python(Squash(kind="squash", gain=2)) == {"kind": "squash", "gain": 2.0}
    with pytest.raises(ValidationError) as refused:
        layer.validate_python({"kind": "squash", "gian": 2})
    missing, unknown = explain(refused.value, {})
    assert missing == "(whole file).gain: missing"
    assert unknown == "(whole file).gian: unknown key; did you mean gain?"


def test_a_section_without_kind_or_of_an_unknown_one_is_refused():
    layer = TypeAdapter(registry.choice("layers"))
    for document, why in (({"units": 3}, "missing; known: "), ({"kind": "liner"}, "did you mean linear")):
        with pytest.raises(ValidationError) as refused:
            layer.validate_python(document)
        assert why in explain(refused.value)[0]
