"""Exact integer arithmetic of sizes, parameters and multiply-adds."""
