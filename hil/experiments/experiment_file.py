"""Reading experiments: shipped ones by name, others by path; `--set` overrides; the resolved document."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from firmware_specs.addresses import refuse_handlers
from firmware_specs.documents import parse_toml, read_text
from firmware_specs.refusals import explain, no_such
from hil.experiments import shipped
from hil.experiments.wrong_keys import wrong_keys

if TYPE_CHECKING:
    from hil.experiments.schema import Experiment

MOST_BASES = 16


class ExperimentError(ValueError):
    """An experiment that cannot be used; the message names file, key and what was expected."""


def load(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """Reads an experiment.

    A file may name another one as its `base` (a shipped name, or a path beside it) and give only what differs.

    Args:
        name_or_path: A shipped name (`digits`) or the path of a TOML file.
        overrides: `key=value` texts, e.g. `optimizer.lr=0.01` or `blocks.0.energy.slope=0.5`; values are TOML, and a
            value that is not is taken as text.

    Raises:
        ExperimentError: unknown name, unreadable file, or content that is refused.
    """
    document, where = _whole(name_or_path, overrides)
    from hil.experiments.schema import Experiment  # torch

    try:
        return Experiment.model_validate(document)
    except ValidationError as error:
        raise _refused(where, overrides, explain(error, document, Experiment)) from error


def refuse_early(name_or_path: str | Path, overrides: Sequence[str] = ()) -> None:
    """Refuses what needs no torch to be refused: a name, a file that cannot be read, keys, values of some sections.

    Arguments and errors are those of `load`.
    """
    _whole(name_or_path, overrides)


def _whole(name_or_path: str | Path, overrides: Sequence[str]) -> tuple[dict[str, object], str]:
    """The document with all that is laid over it, refused as far as that needs no torch."""
    document, where = _document(str(name_or_path), ())
    for override in overrides:
        _apply(document, override)
    if problems := wrong_keys(document):
        raise _refused(where, overrides, problems)
    from hil.experiments.sections import wrong_values  # twice as long as until here

    if problems := wrong_values(document):
        raise _refused(where, overrides, problems)
    return document, where


def _refused(where: str, overrides: Sequence[str], problems: Sequence[str]) -> ExperimentError:
    blamed = [override for override in overrides if _concerns(override, problems)]
    where = f"{where} with --set {' --set '.join(blamed)}" if blamed else where
    return ExperimentError(f"{where}: " + "; ".join(problems))


def _document(name_or_path: str, seen: tuple[str, ...]) -> tuple[dict[str, object], str]:
    """A file's document over that of its `base`: tables are merged, anything else is replaced."""
    text, where = _read(name_or_path)
    try:
        document = parse_toml(text)
        refuse_handlers(str(document.get("device", "")))
    except ValueError as error:
        raise ExperimentError(f"{where}: {error}") from error
    base = document.pop("base", None)
    if base is None:
        return document, where
    if not isinstance(base, str):
        raise ExperimentError(f"{where}: base: expected the name or path of an experiment, got {base!r}")
    place = str(Path(where).resolve())
    if place in seen or len(seen) > MOST_BASES:
        raise ExperimentError(f"{where}: base: leads back to itself, or through more than {MOST_BASES} files")
    beside = Path(where).parent / base
    below, _ = _document(str(beside) if _is_file(beside) else base, (*seen, place))
    return _merged(below, document), where


def _merged(below: dict[str, object], above: dict[str, object]) -> dict[str, object]:
    merged = dict(below)
    for key, value in above.items():
        former = merged.get(key)
        same_kind = isinstance(former, dict) and isinstance(value, dict) and former.get("kind") == value.get("kind")
        merged[key] = _merged(former, value) if same_kind else value  # type: ignore[arg-type]
    return merged


def name_of(name_or_path: str | Path) -> str:
    """Short name of an experiment, for its run folder."""
    return Path(name_or_path).stem


def dump(experiment: Experiment) -> str:
    """The resolved document, defaults written out; `load` of it gives the same experiment."""
    import tomli_w

    return tomli_w.dumps(experiment.model_dump(mode="json", exclude_none=True))


def differences(old: Experiment, new: Experiment) -> list[str]:
    """Keys in which two experiments differ, `key: old -> new`."""
    before, after = flat(old), flat(new)
    keys = sorted(before.keys() | after.keys())
    return [f"{k}: {before.get(k)!r} -> {after.get(k)!r}" for k in keys if before.get(k) != after.get(k)]


def flat(experiment: Experiment) -> dict[str, object]:
    """Every value by its dotted key."""
    return _flat("", experiment.model_dump(mode="json"))


def _flat(prefix: str, value: object) -> dict[str, object]:
    items: list[tuple[object, object]]
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    else:
        return {prefix: value}
    joined = [_flat(f"{prefix}.{key}" if prefix else str(key), item) for key, item in items]
    return {key: item for part in joined for key, item in part.items()}


def _read(name_or_path: str) -> tuple[str, str]:
    path = Path(name_or_path)
    if path.suffix != ".toml" and name_or_path in shipped():
        name = f"{name_or_path}.toml"
        return (resources.files("hil.experiments") / name).read_text("utf-8"), name
    try:
        return read_text(path), str(path)
    except (OSError, ValueError) as error:
        raise ExperimentError(no_such("experiment", name_or_path, shipped(), error)) from error


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name no file can have
        return False


def _concerns(override: str, problems: Sequence[str]) -> bool:
    """Whether a problem lies at, above or below the key an override sets; one of the whole file may be anyone's."""
    asked = override.partition("=")[0].strip()
    keys = [problem.partition(": ")[0] for problem in problems]
    return any(k == "(whole file)" or f"{asked}.".startswith(f"{k}.") or f"{k}.".startswith(f"{asked}.") for k in keys)


def _apply(document: dict[str, object], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ExperimentError(f"--set {override}: expected key=value, e.g. --set optimizer.lr=0.01")
    *path, last = key.strip().split(".")
    node: object = document
    for depth, part in enumerate(path):
        node = _child(node, part, f"--set {override}: {'.'.join(path[: depth + 1])}")
    _child(node, last, f"--set {override}: {key.strip()}")
    if isinstance(node, list):
        node[int(last)] = _value(text)
    elif isinstance(node, dict):
        node[last] = _value(text)


def _child(node: object, part: str, where: str) -> object:
    """What lies under a key or index of a table or array; a missing table is added."""
    if isinstance(node, dict):
        return node.setdefault(part, {})
    if not isinstance(node, list):
        raise ExperimentError(f"{where}: {node!r} is a value and has no key {part!r}")
    if not part.isdigit() or int(part) >= len(node):
        raise ExperimentError(f"{where}: expected an index 0 .. {len(node) - 1}, got {part!r}")
    return node[int(part)]


MOST_DIGITS = 18
"""Of a whole number that surely has 64 bits."""


def _value(text: str) -> object:
    try:
        return parse_toml(f"value = {text}")["value"]
    except (ValueError, KeyError) as error:
        if len(text) > MOST_DIGITS and text.strip().lstrip("+-").isdigit():  # no text, but a number that is none
            raise ExperimentError(f"--set ...={text}: {error}") from error
        return text
