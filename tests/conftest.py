"""Settings of every test."""

import os

# Threads that wait for others sleep: on a busy machine spinning takes the time of those they wait for.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Several processes that test side by side share the processors.
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))

from hypothesis import settings

# The machine may be busy: no example has a deadline of its own.
settings.register_profile("striate", deadline=None, max_examples=60)
settings.load_profile("striate")
