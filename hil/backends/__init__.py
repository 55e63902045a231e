"""The value seam (`seam`) and its implementations."""
