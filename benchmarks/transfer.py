"""`python -m benchmarks.transfer RUN --data-root DIR ADDRESS...`: a trained model moved to other chips untrained.

The newest checkpoint of a run is put on every counterpart and tested. Where an address is an emulated chip it is tested
twice: as it is, and behind a calibration made of it there and then. One JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch

from hil import data
from hil.counterparts.opening.bench import open_bench
from hil.counterparts.opening.wire import open_crossbar
from hil.data import Dataset
from hil.experiments import experiment_file
from hil.experiments.schema import Experiment
from hil.learning.loss import task
from hil.learning.model import build, energy_blocks
from hil.measuring.calibrate import file
from hil.measuring.calibrate.measure import measure_array
from hil.training.evaluate import evaluate
from hil.training.run import checkpoint
from hil.training.run.folder import RunFolder
from hil.training.stopping import stops


def tested(address: str, experiment: Experiment, dataset: Dataset, tensors: dict[str, torch.Tensor]) -> float:
    """Accuracy of the weights on a counterpart."""
    free, nudged = stops(experiment.settle)
    with open_bench(address, stop=free, nudged_stop=nudged) as bench:
        model = build(experiment, bench, dataset.shape, dataset.classes)
        model.load_state_dict(tensors)
        found = evaluate(model, dataset, task(experiment.loss), experiment.run.eval_batch).accuracy
        assert found is not None, "a benchmark of classifiers"
        return found


def calibrated(address: str, experiment: Experiment, dataset: Dataset, folder: Path) -> str:
    """Calibrates an emulated chip; the address of it behind the calibration."""
    with open_bench("reference:") as bench:
        blocks = energy_blocks(build(experiment, bench, dataset.shape, dataset.classes)).values()
        topologies = [block.topology for block in blocks]
    with open_crossbar(address) as crossbar:
        findings = [measure_array(crossbar, number, topology) for number, topology in enumerate(topologies)]
        file.write(folder / "cal.toml", file.Identified("transfer", 1.0), crossbar, findings)
    (folder / "lab.toml").write_text(f'[devices.chip]\naddress = "{address}"\ncalibration = "cal.toml"\n', "utf-8")
    return f"bench:{folder / 'lab.toml'}#chip"


def main() -> None:
    """Prints one line a counterpart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("addresses", nargs="+")
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    given = parser.parse_args()
    folder = RunFolder(given.run)
    experiment = experiment_file.load(folder.config)
    dataset = data.load(experiment.data, given.data_root)
    newest = checkpoint.newest(folder.checkpoints)
    if newest is None:
        raise SystemExit(f"{given.run}: no checkpoint")
    tensors = {k.removeprefix("model."): v for k, v in newest.tensors.items() if k.startswith("model.")}
    for address in given.addresses:
        found: dict[str, object] = {"address": address, "accuracy": tested(address, experiment, dataset, tensors)}
        if address.startswith("emulator:"):
            with tempfile.TemporaryDirectory() as scratch:
                place = calibrated(address, experiment, dataset, Path(scratch))
                found["calibrated"] = tested(place, experiment, dataset, tensors)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
