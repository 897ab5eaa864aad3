"""Settings of every test."""

from hypothesis import settings

# The machine may be busy: no example has a deadline of its own.
settings.register_profile("striate", deadline=None, max_examples=60)
settings.load_profile("striate")
