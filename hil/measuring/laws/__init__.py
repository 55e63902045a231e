"""Laws of cells, chosen by held-out likelihood: which law describes best what was measured, and how sure that is."""
