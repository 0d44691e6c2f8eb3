"""The annotated types that several arguments share: each has one meaning, and its bounds are written here alone."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

# Whole numbers
Count = Annotated[int, Field(ge=1)]  # of things of which at least one is needed
CountOrZero = Annotated[int, Field(ge=0)]  # of things that may be missing; also an index, counted from 0
Pixels = Annotated[int, Field(ge=8, le=4096)]  # height or width of a picture of one face
ScenePixels = Annotated[int, Field(ge=16, le=4096)]  # height or width of a picture with several things in it
Multiple = Annotated[int, Field(ge=1, le=256)]  # pixels by whose multiples a picture is measured
GridSide = Annotated[int, Field(ge=1, le=10)]  # rows or columns of the pictures in a figure

# Numbers
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]  # of a whole: none of it, all of it, or anything between
SomeShare = Annotated[float, Field(gt=0, le=1)]  # of a whole, and not none of it
NotAllShare = Annotated[float, Field(ge=0, lt=1)]  # of a whole, and not all of it
ProperShare = Annotated[float, Field(gt=0, lt=1)]  # of a whole, neither none nor all of it

# Texts
Names = Annotated[list[str], Field(min_length=1)]  # at least one name
SeveralNames = Annotated[list[str], Field(min_length=2)]  # at least two names
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][^/\\\x00]*$")]  # without folders
Delimiter = Annotated[str, Field(min_length=1, max_length=1)]  # the character between two columns of a text file
