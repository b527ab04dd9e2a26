"""Continuous integration: the jobs of a matrix, the steps that run anywhere, what was proven."""
