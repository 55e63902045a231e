"""`hil data check NAME` and `hil data fetch NAME`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.commands import group, say

app = group("Checks and downloads data sets.")

Name = Annotated[
    str,
    typer.Argument(help="digits, iris, wine, xor, curve, mnist, fashion-mnist, kmnist, cifar10, cifar100, imagenet32."),
]
Root = Annotated[Path, typer.Option(help="Folder that holds the data sets.")]


@app.command("check")
def check(name: Name, data_root: Root = Path("data")) -> None:
    """Reads a data set as training does, counts it, and compares its files with the distribution."""
    from hil import data
    from hil.data.catalogue import SAMPLES, digest_report
    from hil.experiments.sections import Data

    loaded = data.load(Data(name=name), data_root)
    found = (len(loaded.train), len(loaded.test))
    say(f"{name}: {found[0]} training, {found[1]} test samples of {loaded.shape}, {loaded.classes} classes")
    for file, verdict in digest_report(name, data_root):
        say(f"  {file}: {verdict}")
    expected = SAMPLES.get(name, found)
    if found != expected:
        raise data.DataError(f"{name}: the whole data set has {expected[0]} training and {expected[1]} test samples")


@app.command("fetch")
def fetch(name: Name, data_root: Root = Path("data")) -> None:
    """Downloads a data set, or says what to download and to where."""
    from hil.data.fetch import fetch as download

    for path in download(name, data_root):
        say(str(path))
