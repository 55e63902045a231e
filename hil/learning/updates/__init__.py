"""How the cells of energy blocks follow the gradient: rewritten, or moved by pulses under one of several rules.

`update` has the interface; every other file is one rule, chosen by `update.kind` (`hil list updates`).
"""
