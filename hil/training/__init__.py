"""The training loop's parts: evaluation, optimizers, updates of cells, ranks, what is shown and counted."""
