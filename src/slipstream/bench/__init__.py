"""Workloads, interleaved comparisons and their statistics."""
