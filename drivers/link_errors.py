"""What a link says when a dialogue broke, in the words every link uses."""

from __future__ import annotations

from drivers.errors import LinkLost, LinkTimeout


def restarted(device: str, outputs_on: bool) -> LinkLost:
    """The device does not know the session; what it says of its outputs is said, not what it should have done."""
    said = "it says that its outputs are ON" if outputs_on else "it says that its outputs are off"
    return LinkLost(
        f"the device no longer knows this session: it was restarted, or somebody else opened it; {said}",
        device=device,
        todo="Nothing turns outputs on again by itself: look at the device, then start again",
    )


def talks(device: str) -> LinkTimeout:
    """The deadline passed in a flood."""
    return LinkTimeout("the device talks, and says nothing that was asked", device=device)
