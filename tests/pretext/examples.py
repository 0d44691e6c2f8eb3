"""What makes an example of a pretext task small enough for a test."""

from __future__ import annotations

from tests.attributes.examples import folder as folder
from tests.attributes.examples import small as small

LOADER = "RotationLoader"
