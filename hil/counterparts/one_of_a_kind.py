"""What a real device adds to its bench: there is one of it, so that it cannot be copied with a model."""

from __future__ import annotations

from typing import NoReturn


class OneOfAKind:
    """Refuses copies (`copy.deepcopy`) and pickles (`torch.save` of a whole model)."""

    address: str

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refused: `TypeError`."""
        raise TypeError(
            f"a model on {self.address} cannot be copied or pickled: there is one such device. Copy or save its "
            "weights (model.state_dict()) and load them into a model on another bench"
        )
