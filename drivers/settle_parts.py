"""A settle in as many requests as the device's messages and times ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.convert import Floats
from drivers.session import Session
from drivers.settling import SettleCodec, Settled
from firmware_specs import deeds
from firmware_specs.codes import Parameter
from firmware_specs.messages import Settle, SettleReply


def settled(
    session: Session, codec: SettleCodec, whole: Settle, clipped: NDArray[np.int64], dtype: np.dtype[Any]
) -> Settled:
    """What a settle measures, part by part.

    A sample is never cut, since its nudged phases start from its free one; of conversions that are too many for one
    request it settles again for the others.

    Args:
        session: The open device.
        codec: Of the array.
        whole: All samples with all their conversions.
        clipped: What is reported of the converters, (phases, batch).
        dtype: Of the states.
    """
    phases, read_s = 1 + len(whole.nudges), session.info.seconds(Parameter.READ_TIME_S)
    wait_s = phases * (whole.time_s or session.info.seconds(Parameter.SETTLE_TIME_S))
    at_once = session.portions.reads(whole.reads, session.info.max_reads, wait_s, phases * read_s)
    found = []
    for reads in at_once:
        each_s = wait_s + phases * reads * read_s
        found.append(_settled(session, codec, replace(whole, reads=reads), each_s, clipped, dtype))
    return _mean(found, at_once)


def _settled(
    session: Session,
    codec: SettleCodec,
    whole: Settle,
    sample_s: float,
    clipped: NDArray[np.int64],
    dtype: np.dtype[Any],
) -> Settled:
    """As many samples in a request as fit."""
    each, head = codec.cost(whole, session.dialect.sizes, sample_s)
    step = min(len(whole.drive), session.portions.most("settling one sample", each, head))
    requests = codec.parts(whole, step)
    read = sum(codec.units(layer) for layer in whole.layers)
    replies: list[SettleReply] = []
    for group in session.portions.groups(requests, each.times(step)):
        seconds = [len(request.drive) * sample_s for request in group]
        asked = [deeds.of_settle(request, read, each_s) for request, each_s in zip(group, seconds, strict=True)]
        replies += session.counted(lambda device: device.settle(group, seconds), asked)  # noqa: B023 - called here
    return codec.collect(requests, replies, clipped, dtype)


def _mean(parts: Sequence[Settled], reads: Sequence[int]) -> Settled:
    """Several settles of the same drive as one of all their readings: means of states, the worst of how they went."""
    if len(parts) == 1:
        return parts[0]
    weights = [count / sum(reads) for count in reads]

    def averaged(values: Sequence[Floats]) -> Floats:
        total = sum(w * v.astype(np.float64) for w, v in zip(weights, values, strict=True))
        return np.asarray(total, values[0].dtype)

    sources = [part.source_a for part in parts if part.source_a is not None]
    return Settled(
        tuple(averaged(layer) for layer in zip(*(part.states_v for part in parts), strict=True)),
        averaged(sources) if sources else None,
        np.logical_and.reduce([part.settled for part in parts]),
        np.maximum.reduce([part.iterations for part in parts]),
        np.add.reduce([part.seconds for part in parts]),
        np.maximum.reduce([part.residual for part in parts]),
        parts[0].clipped,
        np.add.reduce([part.rail_codes for part in parts]),
    )
