"""The comparison: which learner to use on these pictures, with evidence."""
