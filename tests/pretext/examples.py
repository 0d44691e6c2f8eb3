"""What makes an example of a pretext task small enough for a test."""

from __future__ import annotations

from tests.attributes.examples import SMALL

LOADERS = {"RotationLoader": (SMALL, "masks_folder")}
