"""The operators, one folder each; the folder's name is the operator's name everywhere."""
