"""What a block is and how its gradient is obtained: energies, estimators, gradients, the model as a chain."""
