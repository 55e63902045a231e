"""Binary blocks of instruments (IEEE 488.2): read by the length that was asked for, whatever the bytes are."""

from __future__ import annotations

from drivers.errors import CorruptFrame
from drivers.transport import Transport


def read_block(wire: Transport, count: int, deadline: float) -> bytes:
    """The `count` bytes of a definite or indefinite block, and the newline behind it.

    Raises:
        CorruptFrame: no block header, another length, or no newline after it.
    """
    head = wire.read_exact(2, deadline)
    if head[:1] != b"#" or not head[1:].isdigit():
        raise CorruptFrame("a binary block begins with '#' and a digit", device=wire.address, last=head)
    if digits := int(head[1:]):
        length = wire.read_exact(digits, deadline)
        if not length.isdigit() or int(length) != count:
            raise CorruptFrame(f"a block of {count} bytes was expected", device=wire.address, last=head + length)
    data = wire.read_exact(count, deadline)
    if (end := wire.read_exact(1, deadline)) != b"\n":
        raise CorruptFrame(f"no newline after a block of {count} bytes", device=wire.address, last=data + end)
    return data
