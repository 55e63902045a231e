"""Products of a device that multiplies, in as many requests as its messages and times ask for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drivers.errors import ProtocolViolation
from drivers.portions import Cost
from drivers.session import Session
from firmware_specs import deeds
from firmware_specs.codes import Parameter
from firmware_specs.messages import Codes, Product, ProductReply, width_for


def multiplied(session: Session, whole: Product, lines: int, max_code: int) -> Codes:
    """Codes of the read lines, (batch, lines), summed over the reads of a product.

    Args:
        session: The open device.
        whole: What is to be multiplied, all of it.
        lines: How many are read.
        max_code: Largest code of the converter that reads them.
    """
    read_s = session.info.seconds(Parameter.READ_TIME_S)
    sums = [
        _summed(session, replace(whole, reads=some), lines, max_code, some * read_s)
        for some in session.portions.reads(whole.reads, session.info.max_reads, 0.0, read_s)
    ]
    return sums[0] if len(sums) == 1 else np.add.reduce([codes.astype(np.uint64) for codes in sums])


def _summed(session: Session, whole: Product, lines: int, max_code: int, sample_s: float) -> Codes:
    codes, portions = whole.inputs, session.portions
    each = Cost(codes.shape[1] * codes.dtype.itemsize, lines * width_for(max_code * whole.reads), sample_s)
    step = min(len(codes), portions.most("multiplying one sample", each))
    requests = [replace(whole, inputs=codes[start : start + step]) for start in range(0, len(codes), step)]
    replies: list[ProductReply] = []
    for group in portions.groups(requests, each.times(step)):
        seconds = [len(request.inputs) * sample_s for request in group]
        asked = [deeds.of_product(request, lines, each_s) for request, each_s in zip(group, seconds, strict=True)]
        replies += session.counted(lambda device: device.product(group, seconds), asked)  # noqa: B023 - called here
    for request, reply in zip(requests, replies, strict=True):
        if reply.outputs.shape != (len(request.inputs), lines):
            raise ProtocolViolation(
                f"a product of {len(request.inputs)} samples on {lines} lines was answered with {reply.outputs.shape}",
                device=session.address,
            )
    return replies[0].outputs if len(replies) == 1 else np.concatenate([reply.outputs for reply in replies])
