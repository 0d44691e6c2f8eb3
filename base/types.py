"""Define the annotated types that several arguments share; each has one meaning, and its bounds are written only here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

# Whole numbers
Count = Annotated[int, Field(ge=1)]  # a number of things, at least one
CountOrZero = Annotated[int, Field(ge=0)]  # a number of things, possibly none; also an index, counted from 0
Pixels = Annotated[int, Field(ge=8, le=4096)]  # height or width of a picture of one face
ScenePixels = Annotated[int, Field(ge=16, le=4096)]  # height or width of a picture with several things in it
Multiple = Annotated[int, Field(ge=1, le=256)]  # pixels; heights and widths are multiples of it

# Numbers
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]  # part of a whole, from none to all
SomeShare = Annotated[float, Field(gt=0, le=1)]  # part of a whole, more than none
NotAllShare = Annotated[float, Field(ge=0, lt=1)]  # part of a whole, less than all
ProperShare = Annotated[float, Field(gt=0, lt=1)]  # part of a whole, more than none and less than all

# Texts
Names = Annotated[list[str], Field(min_length=1)]  # at least one name
SeveralNames = Annotated[list[str], Field(min_length=2)]  # at least two names

# Arguments that several classes have, with what they mean
FileName = Annotated[  # without folders
    str, Field(pattern=r"^[A-Za-z0-9][^/\\\x00]*$", description="name of the file that is written")
]
Root = Annotated[str, Field(description="folder of the images below the data folder")]
PathSuffix = Annotated[str, Field(description="text to add to every path, e.g. `.jpg` if the file has names without an ending")]
CsvFile = Annotated[str, Field(description="the CSV file below the data folder, UTF-8, with a header")]
JsonPath = Annotated[str, Field(description="the JSON file below the data folder")]
Delimiter = Annotated[str, Field(min_length=1, max_length=1, description="the character between columns")]
Rows = Annotated[int, Field(ge=1, le=10, description="rows of pictures in the figure")]
Columns = Annotated[int, Field(ge=1, le=10, description="columns of pictures in the figure")]
