"""What passes the value seam: states and parameters, in model units."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

States = tuple[Tensor, ...]
"""One tensor a layer, first layer first, each of shape (batch, *layer)."""

Parameters = Mapping[str, Tensor]
"""Weights and biases of a block: `weight_i` and `bias_i` belong to coupling `i` of its topology."""
