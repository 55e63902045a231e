"""Where a run comes from: code, machine, counterpart, data, seeds; one session a start or resume."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from drivers.owner_file import user_name
from firmware_specs.platform import processor
from firmware_specs.registry import plugins
from hil.counterparts.convolutions import chosen_by
from hil.counterparts.seam import Bench
from hil.data import Dataset
from hil.experiments.schema import Experiment
from hil.training.run.atomic import write_json
from hil.training.run.documents import sessions


def record(path: Path, experiment: Experiment, bench: Bench, dataset: Dataset, step: int, device: torch.device) -> None:
    """Adds this session to the run's provenance.

    Args:
        path: `provenance.json`.
        experiment: What runs.
        bench: The open counterpart.
        dataset: What it learns from.
        step: Steps done before this session.
        device: Torch device of the model.

    Raises:
        DocumentError: what the file holds of earlier sessions cannot be read.
    """
    earlier = sessions(path)
    session = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "from_step": step,
        "command": sys.argv,
        "user": user_name(),
        "host": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "plugins": list(plugins()),
        "torch": torch.__version__,
        "llvmlite": _release("llvmlite"),
        "processor": processor(),
        "torch_device": str(device),
        "threads": torch.get_num_threads(),
        "code": code_version(),
        "address": bench.address,
        "counterpart": bench.describe(),
        "seed": experiment.run.seed,
        "data": _fingerprint(dataset),
    }
    write_json(path, {"sessions": [*earlier, session]})


def note_convolutions(path: Path, bench: Bench) -> None:
    """Adds to the present session how the convolutions were formed, by what was formed, once something was.

    Raises:
        DocumentError: what the file holds cannot be read.
    """
    chosen = chosen_by(bench)
    if chosen is None or not chosen.by_work:
        return
    *earlier, session = sessions(path)
    if session.get("convolutions") != chosen.by_work:
        write_json(path, {"sessions": [*earlier, session | {"convolutions": dict(chosen.by_work)}]})


def _release(package: str) -> str | None:
    """Of an installed package; None where it is not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def code_version() -> dict[str, object]:
    """Package version, and the git revision where the code is a checkout."""
    package = _release("crossbar-hil") or "not installed"
    import hil

    here = Path(hil.__file__).parents[1]
    revision = _git(here, "rev-parse", "HEAD") if (here / ".git").exists() else None
    if revision is None:
        return {"version": package}
    return {"version": package, "revision": revision, "modified": bool(_git(here, "status", "--porcelain"))}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(folder), *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _fingerprint(dataset: Dataset) -> dict[str, object]:
    digest = hashlib.sha256()
    for samples in (dataset.train, dataset.test):
        for part in samples.fingerprint():
            digest.update(part)
    return {
        "name": dataset.name,
        "train": len(dataset.train),
        "test": len(dataset.test),
        "shape": list(dataset.shape),
        "sha256": digest.hexdigest(),
    }
