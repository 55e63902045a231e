"""Talks to real devices: transports, framing, instruments and the Crossbar driver."""
