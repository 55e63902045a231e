"""Settles, products and updates as SCPI messages, and what answers them (SCPI.md 5.3, 5.4 and 5.7)."""

from __future__ import annotations

import math

import numpy as np

from drivers import scpi_values as scpi
from drivers.errors import ProtocolViolation
from drivers.scpi_link import Part
from firmware_specs.messages import Codes, Product, ProductReply, Settle, SettleReply, Update, width_for
from firmware_specs.scpi import pack_array
from firmware_specs.topology import Topology

STATISTICS = 4
"""Numbers about each phase of each sample."""


def settle_message(request: Settle) -> bytes:
    """Asks for the states, then for the statistics."""
    layers = ",".join(str(layer) for layer in request.layers)
    batch, nudges = len(request.drive), len(request.nudges)
    numbers = f"{request.array},{batch},{nudges},{request.reads},{scpi.number(request.time_s)}"
    blocks: list[Codes] = [request.drive]
    if request.nudges:
        blocks.append(np.stack(request.nudges))
    blocks += list(request.start or ())
    head = f":ARR:SETT? {numbers},(@{layers})".encode()
    return b",".join([head, *(pack_array(values, swapped=True) for values in blocks)]) + b";SETT:STAT?"


def settle_reply(request: Settle, topology: Topology, parts: list[Part], device: str) -> SettleReply:
    """The reply to `settle_message`."""
    states, statistics = parts
    batch, phases = len(request.drive), 1 + len(request.nudges)
    figures = scpi.array(statistics, "f8", STATISTICS * phases * batch + batch, device=device)
    each = figures[: STATISTICS * phases * batch].reshape(phases, batch, STATISTICS)
    if np.isnan(each[..., 3]).any():
        raise ProtocolViolation("a residual is NaN", device=device)
    with np.errstate(over="ignore"):
        seconds, residual = each[..., 2].astype(np.float32), each[..., 3].astype(np.float32)
    return SettleReply(
        each[..., 0] != 0,
        scpi.counts(each[..., 1], "iterations", device),
        scpi.finite(seconds, "seconds of settling", device),
        residual,
        scpi.counts(figures[-batch:], "clipped drives", device),
        _layers(request, topology, states, device),
    )


def _layers(request: Settle, topology: Topology, data: bytes, device: str) -> tuple[Codes, ...]:
    """Codes of each layer, all in the width of the widest."""
    batch, phases = len(request.drive), 1 + len(request.nudges)
    units = [math.prod(topology.shape(layer)) for layer in request.layers]
    total = phases * batch * sum(units)
    if not total or len(data) not in [width * total for width in (1, 2, 4, 8)]:
        text = f"{len(data)} bytes are no codes of {total} states"
        raise ProtocolViolation(text, device=device, last=data[:32])
    codes = scpi.array(data, f"u{len(data) // total}", total, device=device)
    found, at = [], 0
    for count in units:
        size = phases * batch * count
        found.append(codes[at : at + size].reshape(phases, batch, count))
        at += size
    return tuple(found)


def product_message(request: Product) -> bytes:
    """Asks for products."""
    way, batch = "TRAN" if request.transposed else "FORW", len(request.inputs)
    head = f":ARR:PROD? {request.array},{request.coupling},{request.plane},{way},{request.reads},{batch},"
    return head.encode() + pack_array(request.inputs, swapped=True)


def product_reply(request: Product, max_code: int, part: Part, device: str) -> ProductReply:
    """The reply to `product_message`; `max_code` is the product ADC's largest."""
    widest = width_for(max_code * request.reads)
    return ProductReply(scpi.array(part, f"u{widest}", len(request.inputs), -1, device=device))


def update_message(request: Update) -> bytes:
    """Lets cells move by the contrast of phases."""
    terms = ",".join(str(int(number)) for term in request.terms for number in term)
    numbers = f"{request.array},{len(request.drive)},{len(request.nudges)},{scpi.number(request.time_s)}"
    blocks = [request.windows_s.astype(np.float64), request.drive]
    if request.nudges:
        blocks.append(np.stack(request.nudges))
    head = f":ARR:UPD? {numbers},(@{terms})".encode()
    return b",".join([head, *(pack_array(values, swapped=True) for values in blocks)])
