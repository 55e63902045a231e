"""For tests of the host: platforms without what is not their subject."""

import pytest


@pytest.fixture
def multiplying_exactly():
    """Makes of a product platform one that writes and reads without error: `(sheet, tolerance, max_iterations)`."""

    def changed(sheet, tolerance, max_iterations):
        quiet = {"bits": 0, "noise_sigma_a": 0.0, "low_a": -1.0, "high_a": 1.0}
        lines = {
            "line_dac": sheet.product.line_dac.model_copy(update={"bits": 0}),
            "line_adc": sheet.product.line_adc.model_copy(update=quiet),
        }
        parts = {
            "cells": sheet.cells.model_copy(update={"programming_noise": 0.0}),
            "settle": sheet.settle.model_copy(update={"tolerance": tolerance, "max_iterations": max_iterations}),
            "product": sheet.product.model_copy(update=lines),
        }
        return sheet.model_copy(update=parts)

    return changed
