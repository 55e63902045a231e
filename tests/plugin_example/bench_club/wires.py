"""A counterpart, a wire and a language."""

from drivers.dialects import frames
from drivers.doors import Door
from drivers.errors import BadAddress
from drivers.loopback import Loopback
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.serial_endpoint import SerialEndpoint
from firmware_specs.datasheet import DatasheetError, load
from hil.counterparts.reference import ReferenceBench

FLIP = bytes(255 - n for n in range(256))
CUPBOARD = {}


def ideal(address):
    """The club's exact simulator: `club-ideal:`."""
    return lambda told: ReferenceBench(told.stop, told.nudged_stop, address=address)


def open_club(where, options, deadline):
    """A board in the club's cupboard, by its datasheet; it speaks inverted bytes where it is asked to."""
    try:
        sheet = load(where.target)
    except DatasheetError as error:
        raise BadAddress(str(error)) from error
    seed = int(where.options.get("seed", "0"))
    machine = CUPBOARD.setdefault((where.target, seed), Machine(Device(Chip(sheet, seed))))  # on, whoever is connected
    endpoint = SerialEndpoint(machine, "cupboard")

    def feed(data):
        if where.dialect != "inverted":
            return endpoint.feed(data)
        return endpoint.feed(data.translate(FLIP)).translate(FLIP)

    return Loopback(feed, f"club:{where.target}", endpoint.closed)


CLUB = Door(open_club, takes=("seed",), summary="A board in the club's cupboard: `club:DATASHEET?seed=N`.")


class Inverted:
    """A wire whose bytes are turned over."""

    def __init__(self, inner):
        self.inner, self.address = inner, inner.address

    def write(self, data, deadline):
        self.inner.write(bytes(data).translate(FLIP), deadline)

    def read_exact(self, count, deadline):
        return self.inner.read_exact(count, deadline).translate(FLIP)

    def read_until(self, delimiter, limit, deadline):
        return self.inner.read_until(delimiter.translate(FLIP), limit, deadline).translate(FLIP)

    def read_piece(self, delimiter, limit, deadline):
        return self.inner.read_piece(delimiter.translate(FLIP), limit, deadline).translate(FLIP)

    def read_some(self, deadline):
        return self.inner.read_some(deadline).translate(FLIP)

    def drain(self, quiet_s, deadline):
        return self.inner.drain(quiet_s, deadline)

    def close(self):
        self.inner.close()


def inverted(wire, where, options):
    """Frames of PROTOCOL.md, every byte turned over."""
    return frames(Inverted(wire), where, options)
