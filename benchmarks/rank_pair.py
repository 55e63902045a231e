"""Two ranks against one on the same joined batches: `python -m benchmarks.rank_pair [EXPERIMENT [OPTION ...]]`.

One rank has one thread, and so has each of two: the ratio is what the second process and its messages leave of 2.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def images_per_second(ranks: int, arguments: list[str]) -> float:
    """Of a short run; the time of the training steps only."""
    with tempfile.TemporaryDirectory() as folder:
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
        command = [*launch, "-m", "hil", "train", *arguments, "--run-dir", f"{folder}/run"]
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True)
        return float(json.loads((Path(folder) / "run" / "summary.json").read_text())["images_per_second"])


def main() -> None:
    """Prints the table."""
    arguments = sys.argv[1:] or ["mnist-conv"]
    limits = ["data.train_samples=1280", "data.test_samples=64", "run.epochs=1", "run.batch=128", "run.drop_last=true"]
    for limit in limits:
        arguments += ["--set", limit]
    rounds = [(images_per_second(1, arguments), images_per_second(2, arguments)) for _ in range(2)]
    for one, two in rounds:
        print(f"one rank {one:.0f} images/s, two ranks {two:.0f} images/s: {two / one:.2f} times")


if __name__ == "__main__":
    main()
