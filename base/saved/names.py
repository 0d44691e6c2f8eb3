"""Define the names of the files and folders below `saved/`; the names of checkpoints are in utils/checkpoint_names.py."""

from __future__ import annotations

# A run's models folder.
CONFIG = "config.json"  # the whole config
SOURCE = "source.json"  # the origin of the data
STATUS = "status.json"
LOCK = ".lock"

# The records that join several runs.
GROUP = "group.json"
ENSEMBLE = "ensemble.json"

# A run's log folder.
LOG = "log.jsonl"
EXPORT = "export"  # folder of exported models
OUT_OF_FOLD = "out-of-fold"  # folder of predictions for all training samples, each by a model that was not trained on the sample

# An evaluation's folder.
PREDICTIONS = "predictions.parquet"
MANIFEST = "predictions.manifest.json"  # the manifest of the predictions file, for people to read
SAMPLES = "samples.parquet"
SCORES = "metrics.json"

# Exported models.
ONNX = ".onnx"
PROGRAM = ".pt2"
CARD = ".card.json"  # added to the exported file's own name
