"""Set before torch is imported: on the small tensors of tests a second thread only waits for the first."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
