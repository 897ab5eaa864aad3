"""One drawing for each operator, from numbers that the operator computed."""
