"""Everything that learns: one file per family, one interface (`learner.py`)."""
