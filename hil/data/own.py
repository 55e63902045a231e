"""Data of one's own from files: `npz:FILE`, `csv:FILE?target=NAME`, `folder:DIR`.

A path is looked for where the command runs, then below the data root. What has no test part of its own is split by a
fixed shuffle, a fifth for testing.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np

from firmware_specs.addresses import split_options
from hil.data import foreign, packed
from hil.data.dataset import DataError, Dataset
from hil.data.found import begin_of, what_is

PARTS = {
    "train": (("x_train", "y_train"), ("train_images", "train_labels"), ("X_train", "Y_train")),
    "test": (("x_test", "y_test"), ("test_images", "test_labels"), ("X_test", "Y_test")),
}
WHOLE = (("x", "y"), ("X", "Y"), ("X", "y"), ("images", "labels"), ("data", "labels"), ("data", "target"))
TARGETS = ("label", "labels", "target", "class", "y")
_COMMA = re.compile(r"[-+]?\d+,\d+")
MOST_ROWS = 10_000_000
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")


def npz(root: Path, argument: str) -> Dataset:
    """Arrays of an .npz file: `x_train`, `y_train`, `x_test`, `y_test`, or `x`, `y` (images, labels) to be split.

    Raises:
        DataError: unreadable, or without arrays of such names.
    """
    path, _ = _path(root, argument, ())
    names = [name for pairs in (*PARTS.values(), WHOLE) for pair in pairs for name in pair]
    try:
        found = packed.read_npz(path, tuple(dict.fromkeys(names)))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}.{what_is(begin_of(path))}") from error
    pairs = {part: next((p for p in known if all(n in found for n in p)), None) for part, known in PARTS.items()}
    whole = next((pair for pair in WHOLE if all(n in found for n in pair)), None)
    if pairs["train"] is not None and pairs["test"] is not None:
        train, test = ((found[pair[0]], found[pair[1]]) for pair in (pairs["train"], pairs["test"]))
        return foreign.made(str(path), train, test)
    if whole is None:
        raise DataError(
            f"{path}: holds {', '.join(sorted(found)) or 'nothing known'}; expected x_train, y_train, x_test, y_test, "
            "or x and y"
        )
    return foreign.split(str(path), (found[whole[0]], found[whole[1]]))


def table(root: Path, argument: str) -> Dataset:
    """Rows of a CSV or TSV file with a header; features are standardized.

    `?target=NAME` or `?target=A,B` says what is to be learned; a column called label, target, class or y when left out,
    else the last. Targets that are whole numbers or words are classes, others are values.

    Raises:
        DataError: unreadable, or a field that is no number, with its line and column.
    """
    path, options = _path(root, argument, ("target",))
    names, rows = _rows(path)
    wanted = options.get("target")
    targets = wanted.split(",") if wanted else [next((n for n in names if n.lower() in TARGETS), names[-1])]
    if missing := [name for name in targets if name not in names]:
        raise DataError(f"{path}: no column {', '.join(missing)}; there are {', '.join(names)}")
    features = [name for name in names if name not in targets]
    if not features:
        raise DataError(f"{path}: every column is a target; at least one feature is needed")
    inputs = np.stack([_numbers(path, rows, names, name) for name in features], 1).astype(np.float32)
    return foreign.split(str(path), (inputs, _targets(path, rows, names, targets)), standardize=True)


def folder(root: Path, argument: str) -> Dataset:
    """Pictures by class: DIR/train/CLASS/*.png and DIR/test/CLASS/*.png, or DIR/CLASS/*.png to be split.

    `?size=N` scales them to N x N; without it all must have one size. Grey where all are grey, colour otherwise.

    Raises:
        DataError: no pictures, several sizes, or one that cannot be read.
    """
    path, options = _path(root, argument, ("size",))
    size = options.get("size")
    if size is not None and not (size.isdigit() and int(size) > 0):
        raise DataError(f"folder:{argument}: size must be a positive whole number, got {size!r}")
    parts = [path / part for part in ("train", "test")]
    if all(part.is_dir() for part in parts):
        classes = _classes(parts[0])
        train, test = (_pictures(part, classes, None if size is None else int(size)) for part in parts)
        return foreign.made(str(path), train, test)
    return foreign.split(str(path), _pictures(path, _classes(path), None if size is None else int(size)))


def _path(root: Path, argument: str, known: tuple[str, ...]) -> tuple[Path, dict[str, str]]:
    name, query = split_options(argument)
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) < len(pairs):
        raise DataError(f"{argument}: an option is given twice; which one is meant?")
    if unknown := sorted(options.keys() - set(known)):
        raise DataError(f"{argument}: unknown option {', '.join(unknown)}; known: {', '.join(known) or 'none'}")
    for path in (Path(name), root / name):
        if path.exists():
            return path, options
    raise DataError(f"{name or argument!r} is missing. Looked in {Path.cwd()} and {root}")


def _rows(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            sample = file.read(8192)
            file.seek(0)
            delimiter = max(",;\t", key=sample.partition("\n")[0].count)
            rows = [row for _, row in zip(range(MOST_ROWS), csv.reader(file, delimiter=delimiter), strict=False) if row]
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text: save it as UTF-8 ({error.reason} at byte {error.start})") from error
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if len(rows) < 3:
        raise DataError(f"{path}: {len(rows)} lines; a header and at least two rows are needed")
    names = [name.strip() for name in rows[0]]
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(names):
            raise DataError(f"{path}:{number}: {len(row)} fields, the header has {len(names)}")
    return names, rows[1:]


def _numbers(path: Path, rows: list[list[str]], names: list[str], name: str) -> np.ndarray:
    column = names.index(name)
    values = np.empty(len(rows))
    for number, row in enumerate(rows):
        try:
            values[number] = float(row[column])
        except ValueError:
            said = row[column].strip()
            hint = "; leave the row out or fill it in" if not said else ""
            hint = "; a number has a decimal point, no comma" if _COMMA.fullmatch(said) else hint
            raise DataError(f"{path}:{number + 2}: {name}: {row[column]!r:.40} is no number{hint}") from None
        if not np.isfinite(values[number]):
            raise DataError(
                f"{path}:{number + 2}: {name}: {row[column]} is not finite; leave the row out or fill it in"
            )
    return values


def _targets(path: Path, rows: list[list[str]], names: list[str], targets: list[str]) -> np.ndarray:
    if len(targets) > 1:
        return np.stack([_numbers(path, rows, names, name) for name in targets], 1)
    texts = [row[names.index(targets[0])].strip() for row in rows]
    try:
        values = np.array([float(text) for text in texts])
    except ValueError:
        return np.array(texts)
    return values.astype(np.int64) if bool((values == values.round()).all()) else values


def _classes(path: Path) -> list[str]:
    found = sorted(entry.name for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []
    if len(found) < 2:
        raise DataError(f"{path}: {len(found)} folders; one a class is expected, at least two")
    return found


def _pictures(path: Path, classes: list[str], size: int | None) -> tuple[np.ndarray, np.ndarray]:
    from PIL import Image, UnidentifiedImageError

    pictures, labels = [], []
    for label, name in enumerate(classes):
        for file in sorted((path / name).iterdir() if (path / name).is_dir() else ()):
            if file.suffix.lower() not in PICTURES:
                continue
            try:
                with Image.open(file) as opened:
                    grey = opened.mode in ("1", "L", "I", "I;16")
                    picture = opened.convert("L" if grey else "RGB")
            except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError) as error:
                raise DataError(f"{file}: no picture that can be read: {error}") from error
            pictures.append(picture if size is None else picture.resize((size, size)))
            labels.append(label)
    if not pictures:
        raise DataError(f"{path}: no pictures ({', '.join(PICTURES)}) in its folders {', '.join(classes[:5])}")
    sizes = {picture.size for picture in pictures}
    if len(sizes) > 1:
        raise DataError(f"{path}: pictures of {len(sizes)} sizes, {sorted(sizes)[:3]}...: add ?size=N to scale them")
    mode = "L" if all(picture.mode == "L" for picture in pictures) else "RGB"
    return np.stack([np.asarray(picture.convert(mode)) for picture in pictures]), np.array(labels)
