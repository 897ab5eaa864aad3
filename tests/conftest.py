"""Settings of every test."""

import os

# Threads that wait for others sleep: on a busy machine spinning takes the time of those they wait for.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from hypothesis import settings

# The machine may be busy: no example has a deadline of its own.
settings.register_profile("striate", deadline=None, max_examples=60)
settings.load_profile("striate")
