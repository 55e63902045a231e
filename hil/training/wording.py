"""How what a task measures is said: shares in percent, errors as numbers."""

from __future__ import annotations

from collections.abc import Mapping

WORDS = {
    "accuracy": ("accuracy", "{:.2%}"),
    "top5": ("top-5", "{:.2%}"),
    "exact": ("all labels right", "{:.2%}"),
    "mean_squared_error": ("mean squared error", "{:.4g}"),
    "r2": ("R squared", "{:.4f}"),
}
"""Metric to its words and form."""


def said(record: Mapping[str, object], part: str = "") -> str:
    """The metrics of a record in words: "test accuracy 97.50%  test top-5 99.9%"; empty where it has none.

    Args:
        record: Metrics by key, `PART_accuracy` where a part is given.
        part: `test`, `validation`, or nothing.
    """
    found = []
    for key, (words, form) in WORDS.items():
        value = record.get(f"{part}_{key}" if part else key)
        if isinstance(value, int | float):
            found.append(f"{part} {words} {form.format(value)}".strip())
    return "  ".join(found)
