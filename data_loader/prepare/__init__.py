"""Preparation of a data set before training: `python -m data_loader.prepare --help`."""
