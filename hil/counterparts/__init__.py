"""What a block settles on: the value seam (`seam`), its back-ends, and opening one by name (`opening`)."""
