"""The names of the files and folders below `saved/`, each in one place; those of checkpoints are in utils/checkpoint_names.py."""

from __future__ import annotations

# A run's models folder.
CONFIG = "config.json"  # the whole config
SOURCE = "source.json"  # where the data came from
STATUS = "status.json"
LOCK = ".lock"

# What makes one thing of several runs.
GROUP = "group.json"
ENSEMBLE = "ensemble.json"

# A run's log folder.
LOG = "log.jsonl"
EXPORT = "export"  # folder of exported models
OUT_OF_FOLD = "out-of-fold"  # folder of predictions for all training samples, each by the model that did not see it

# An evaluation's folder.
PREDICTIONS = "predictions.parquet"
MANIFEST = "predictions.manifest.json"  # what the predictions file says of itself, for people
SAMPLES = "samples.parquet"
SCORES = "metrics.json"

# Exported models.
ONNX = ".onnx"
PROGRAM = ".pt2"
CARD = ".card.json"  # added to the exported file's own name
