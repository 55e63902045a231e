"""Calibration: what of a device is measured before a training, kept, and corrected by every back-end.

Corrected are the readings of every channel (gain and offset) and the input offset of every neuron. Both leave the block
an energy: equilibrium propagation stays exact on the corrected device. Gain mismatch of neurons is measured and not
corrected: symmetric weights cannot undo it, and EP learns around it, since it only bends the energy.
"""
