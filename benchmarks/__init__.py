"""Measure ratios: the two sides of a comparison run in turns, so that a busy machine slows both."""
