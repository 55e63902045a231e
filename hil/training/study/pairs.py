"""What another rule changes, seed by seed: both trainings of a pair have the same initial weights and batches."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from hil.training.study.grid import RULE, SEED, Row, Value


@dataclass(frozen=True)
class Pair:
    """Two rules on otherwise equal points.

    Attributes:
        values: Of every axis but rule and seed, by key.
        rules: The two.
        differences: Accuracy of the first less the second's, one a seed that both finished.
    """

    values: dict[str, Value]
    rules: tuple[str, str]
    differences: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Of the differences."""
        return statistics.fmean(self.differences)

    @property
    def error(self) -> float | None:
        """Standard error of the mean; None for one seed."""
        count = len(self.differences)
        return statistics.stdev(self.differences) / count**0.5 if count > 1 else None


def pairs(rows: Sequence[Row]) -> list[Pair]:
    """The first rule against each other one, in the order of the rows; empty without those axes."""
    if not all({RULE, SEED} <= row.values.keys() for row in rows):
        return []
    rules = list(dict.fromkeys(str(row.values[RULE]) for row in rows))
    groups: dict[str, dict[tuple[str, Value], float]] = {}
    for row in rows:
        if row.accuracy is not None:
            rest = {key: value for key, value in row.values.items() if key not in (RULE, SEED)}
            groups.setdefault(json.dumps(rest), {})[str(row.values[RULE]), row.values[SEED]] = row.accuracy
    found = []
    for key, group in groups.items():
        for other in rules[1:]:
            both = [seed for rule, seed in group if rule == rules[0] and (other, seed) in group]
            if both:
                differences = tuple(group[rules[0], seed] - group[other, seed] for seed in both)
                found.append(Pair(json.loads(key), (rules[0], other), differences))
    return found


def lines(found: Sequence[Pair]) -> list[list[str]]:
    """As a table, in points of accuracy."""
    keys = list(found[0].values)
    table = [[*keys, "rules", "seeds", "mean difference", "standard error"], ["---"] * (len(keys) + 4)]
    for pair in found:
        error = "" if pair.error is None else f"{100 * pair.error:.2f}"
        figures = [" less ".join(pair.rules), str(len(pair.differences)), f"{100 * pair.mean:+.2f}", error]
        table.append([*(str(pair.values[key]) for key in keys), *figures])
    return table
