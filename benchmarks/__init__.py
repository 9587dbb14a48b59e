"""Measurements whose figures the documentation quotes. Speeds are ratios of two things measured in one run."""
