"""Labelled pictures: where they come from, how they are decoded, checked, split and fed."""
