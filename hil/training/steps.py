"""Can every step of a run be taken, the first and the last of an epoch too? Asked before the first one."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from hil.experiments.sections import Run
from hil.learning.feedforward import PER_SAMPLE
from hil.training.ranks import Ranks
from hil.training.run.marked import RunError


def refuse_steps_that_cannot_be_taken(run: Run, model: nn.Module, samples: int, ranks: Ranks) -> None:
    """Looks at the sizes that batches will have.

    Args:
        run: Batch, ranks' parts, whether a smaller last batch is left out.
        model: Its batch norms need two values a channel at least.
        samples: Training samples.
        ranks: The processes that share each batch.

    Raises:
        RunError: no batch is left, or a norm cannot take one; the message names the key to change.
    """
    if run.drop_last and samples < run.batch:
        raise RunError(
            f"run.drop_last leaves no batch: {samples} training samples are fewer than run.batch = {run.batch}; "
            f"set run.batch to {samples} or less" + ("" if ranks.count > 1 else ", or run.drop_last = false")
        )
    last = samples % run.batch
    sizes = {"every batch": min(run.batch, samples)}
    if last and not run.drop_last and samples > run.batch:
        sizes["the last batch of an epoch"] = last
    for name, norm in model.named_modules():
        if not isinstance(norm, _BatchNorm):
            continue
        share = 1 if isinstance(norm, nn.SyncBatchNorm) or run.sync_batch_norm else ranks.count
        for which, size in sizes.items():
            if size // share * getattr(norm, PER_SAMPLE, 2) < 2:
                raise RunError(_one_value(which, size, share, name, run))


def _one_value(which: str, size: int, share: int, name: str, run: Run) -> str:
    todo = (
        "set run.drop_last = true, or another run.batch"
        if which != "every batch"
        else f"raise run.batch (it is {run.batch})" + (", or set run.sync_batch_norm = true" if share > 1 else "")
    )
    of = f" over {share} ranks" if share > 1 else ""
    return (
        f"{which} has {size} sample{'s' if size > 1 else ''}{of}, and batch norm ({name}) needs two values a channel: "
        f"{todo}"
    )
