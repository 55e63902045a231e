"""Laws of cells, chosen by held-out likelihood: what was measured, which law describes it best, and how sure that is."""
