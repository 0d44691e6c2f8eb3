"""Pictures of people to compare: trained on identities, validated and tested on pairs of people not seen in training."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field

from base.base_data_loader import LOADERS, BaseSampler
from base.base_reader import BaseReader
from base.contracts import DataSpec, RunContext, Target
from base.table import SampleTable, some
from base.verification.pairs import IDENTITY, PAIRS, add_pairs, pairs_of
from data_loader.augment.transforms import BaseTransform, random_steps
from data_loader.batches.samplers import ShuffleSampler
from data_loader.crop.croppers import BaseCropper, unused
from data_loader.crop.crops import Crops
from data_loader.image_loader import ImageLoader
from data_loader.pictures import scan
from data_loader.samples import duplicates, splits
from data_loader.samples.splits import Split
from data_loader.verification.drawn_pairs import make_pairs
from utils.config import did_you_mean
from utils.errors import UserError

Count = Annotated[int, Field(ge=1)]
Pixels = Annotated[int, Field(ge=8, le=4096)]


@LOADERS.register("verification")
class EmbeddingLoader(ImageLoader):
    """Batches of images with a number for each identity: target {"identity": (B,) int64}.

    Validation and test samples are the pictures of pairs: each is in the table once, and is embedded once, whatever the number
    of its pairs. They have no target for the loss, their people not being among those that are trained.

    Args:
        data_dir: folder of the data set.
        reader: how the training images are read.
        identity: column that names the person.
        image_size: height and width in pixels to which every image is resized when it is decoded, before any transform.
        batch_size: images per step, over all processes.
        valid_reader: how the validation pictures are read: a list of pairs, or images of further people, of whom pairs are made.
        split: instead of `valid_reader`, the share or fold of the people held out for validation.
        valid_pairs: most pairs to make where validation comes without a list of them.
        check_bytes: refuse files that are both in training and in validation; with `split`, its own setting counts.
        train_transforms: augmentation of the training images.
        eval_transforms: what validation, test and app do instead; without randomness.
        sampler: which samples an epoch shows, in which order.
        test_reader: how the pairs to predict are read, for test.py.
        corrections: CSV file (columns where,is,set,to) applied to what the reader found.
        unreadable: what to do about training images that cannot be decoded, refuse all by name or leave them out with a report.
        num_workers: processes that make batches, 0 for none beside the trainer itself.
        worker_timeout: seconds after which a worker that gives no batch is given up.
        cache_mb: memory for decoded images; if the data need more, they are decoded anew each epoch.
        crops: boxes that every picture is cut to before it is resized; default: pictures stay whole.
        croppers: what finds a box, in the order in which they are asked: for `python -m data_loader.prepare crop`, and for
            pictures that are not of the data, as in the app.
    """

    valid_targets = False

    def __init__(
        self,
        context: RunContext,
        data_dir: str,
        reader: BaseReader,
        identity: str,
        image_size: tuple[Pixels, Pixels],
        batch_size: Count,
        valid_reader: BaseReader | None = None,
        split: Split | None = None,
        valid_pairs: Annotated[int, Field(ge=2)] = 4000,
        check_bytes: bool = True,
        train_transforms: list[BaseTransform] = [],  # noqa: B006 - never changed
        eval_transforms: list[BaseTransform] = [],  # noqa: B006
        sampler: BaseSampler = ShuffleSampler(),  # noqa: B008
        test_reader: BaseReader | None = None,
        corrections: str | None = None,
        unreadable: Literal["error", "skip"] = "error",
        num_workers: Annotated[int, Field(ge=0, le=256)] = 2,
        worker_timeout: Annotated[float, Field(gt=0, le=86400)] = 45.0,
        cache_mb: Annotated[int, Field(ge=0)] = 2048,
        crops: Crops | None = None,
        croppers: list[BaseCropper] = [],  # noqa: B006
    ) -> None:
        by_person = split.model_copy(update={"group": identity}) if split is not None else None
        super().__init__(
            context, data_dir, reader, split=by_person, image_size=image_size, batch_size=batch_size,
            train_transforms=train_transforms, eval_transforms=eval_transforms, sampler=sampler,
            test_reader=test_reader, corrections=corrections, unreadable=unreadable, num_workers=num_workers,
            worker_timeout=worker_timeout, cache_mb=cache_mb, crops=crops, croppers=croppers,
        )  # fmt: skip
        self.identity, self.valid_reader, self.valid_pairs, self.check_bytes = identity, valid_reader, valid_pairs, check_bytes

    @classmethod
    def check(cls, args: Any, spec: DataSpec) -> Iterable[tuple[str, str]]:
        """No validation set or two, random steps in the evaluation pipeline, a sampler that does not suit."""
        yield from random_steps(args.eval_transforms)
        yield from unused(args)
        if (args.valid_reader is None) == (args.split is None):
            found = "neither" if args.split is None else "both"
            yield "valid_reader", f"found {found} of valid_reader and split; allowed: one, which says who is validated on"
        if args.split is not None and args.split.group not in (None, args.identity):
            yield "split.group", f'found "{args.split.group}"; people are split by "{args.identity}", the identity'
        columns = args.reader.cls.columns(args.reader.args)
        if columns is not None and args.identity not in columns:
            near = did_you_mean(args.identity, columns)
            yield "identity", f"the reader gives no column {args.identity}{near}; it gives: {', '.join(sorted(columns))}"
        yield from _unsuited(getattr(args.sampler, "args", None), args.batch_size)

    def declared_spec(self) -> DataSpec:
        """Nothing: who the people are, only the files say."""
        return DataSpec()

    @cached_property
    def spec(self) -> DataSpec:
        """`identity`: the names of the people who are trained, and how many images each has."""
        numbers = self.table("train").numbers(IDENTITY)
        return DataSpec({IDENTITY: self._people}, {IDENTITY: np.bincount(numbers).tolist()}, image_size=self.evaluated_size)

    @cached_property
    def _people(self) -> list[str]:
        return sorted(set(self.table("train").strings(self.identity)))

    # Samples ------------------------------------------------------------------------------------------------------

    def label(self, table: SampleTable, source: str, required: bool) -> SampleTable:
        """The table as it is, if every sample has an identity, or need not; the pictures of pairs must all be there."""
        if not required:
            _require_files(table)
            return self._numbered(table)
        if self.identity not in table.names:
            near = did_you_mean(self.identity, table.names)
            raise UserError(f"{source}: no column {self.identity}{near}; there are: {', '.join(table.names)}")
        nameless = [name for name, who in zip(table.ids(), table.strings(self.identity), strict=True) if not who]
        if nameless:
            raise UserError(f"{source}: {some(nameless)} have no {self.identity}; every training image needs one")
        return table

    def divide(self, table: SampleTable) -> tuple[SampleTable, SampleTable, list[str]]:
        """The people to train on, and the pictures to validate on with their pairs."""
        if self.split is not None:
            # Of all people, so that those of several folds can be told apart.
            train, valid, notes = super().divide(self._numbered(table))
        else:
            train, (valid, notes) = table, self._validation(table)
        if PAIRS not in valid.related:
            people = self._numbered(valid).numbers(IDENTITY)
            valid = add_pairs(valid, make_pairs(people, self.valid_pairs, self.split.seed if self.split is not None else 0))
        if not pairs_of(valid).known:
            raise UserError("data_loader.args.valid_reader: its pairs have no labels, without which nothing can be validated")
        return self._numbered(train), valid if self.split is not None else self._numbered(valid), notes

    @property
    def group(self) -> str | None:
        """The identity."""
        return self.identity

    def all_tables(self) -> list[SampleTable]:
        """The pictures to validate on too, where they have a reader of their own."""
        return [*super().all_tables(), *([self.valid_reader.read(self.data_dir)] if self.valid_reader is not None else [])]

    def _validation(self, train: SampleTable) -> tuple[SampleTable, list[str]]:
        """What the reader of validation finds. Raises UserError for people or files that are trained on too."""
        assert self.valid_reader is not None, "checked before"
        valid = self.valid_reader.read(self.data_dir).sorted()
        _require_files(valid)
        if self.identity in valid.names:
            splits.refuse_shared_groups(train.strings(self.identity), valid.strings(self.identity), f"values of {self.identity}")
        if self.check_bytes:
            both = duplicates.joined(train, valid)
            first, second = np.arange(len(train)), np.arange(len(train), len(both))
            duplicates.refuse_shared_bytes(both, duplicates.identical_files(both), first, second, "check_bytes")
        return valid, []

    def _numbered(self, table: SampleTable) -> SampleTable:
        """With a number for each identity, in order of name, where the identities are known."""
        if self.identity not in table.names:
            return table
        numbers = np.unique(np.array(table.strings(self.identity), object).astype(str), return_inverse=True)[1]
        return table.with_column(IDENTITY, numbers.astype(np.int64))

    def labelled(self, split: str) -> bool:
        """Test pairs too, where the list says which are the same."""
        return pairs_of(self.table(split)).known if split == "test" else super().labelled(split)

    def targets(self, table: SampleTable, rows: np.ndarray) -> Target:
        """{"identity": (B,) int64} in training, nothing in validation."""
        return {IDENTITY: torch.from_numpy(self._numbers[rows])} if table is self.table("train") else {}

    @cached_property
    def _numbers(self) -> np.ndarray:
        return self.table("train").numbers(IDENTITY)

    def report(self) -> list[str]:
        """Numbers of samples, people and pairs, and warnings."""
        line, *notes = super().report()
        counts = np.bincount(self._numbers)
        people = f"{len(counts):,} people to train on, {int((counts == 1).sum()):,} of them with one image"
        return [line, f"{people}; {_counted(self.table('valid'))} to validate on", *notes]


def _counted(table: SampleTable) -> str:
    same = pairs_of(table).same
    return f"{len(same):,} pairs ({int((same == 1).sum()):,} of one person) over {len(table):,} images"


def _require_files(table: SampleTable) -> None:
    """Raise UserError naming the pictures of pairs that are not there."""
    missing = scan.missing_files(table)
    if missing:
        raise UserError(f"{table.root}: {some(missing)} of the pairs to compare {'is' if len(missing) == 1 else 'are'} not there")


def _unsuited(sampler: Any, batch_size: int) -> Iterable[tuple[str, str]]:
    """What is wrong between a sampler's arguments and the one label that there is."""
    for key in ("label", "labels"):
        given = getattr(sampler, key, None)
        for name in [given] if isinstance(given, str) else given or []:
            if name != IDENTITY:
                yield f"sampler.args.{key}", f'found "{name}"; the only label here is "{IDENTITY}"'
    if (people := getattr(sampler, "identities", None)) and people * sampler.images != batch_size:
        yield "batch_size", f"found {batch_size}; {people} identities x {sampler.images} images are {people * sampler.images}"
