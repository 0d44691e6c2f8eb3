"""Who is trained on and which pairs are compared; images embedded once; every mistake in one line."""

import pathlib
import shutil

import numpy as np
import pyarrow as pa
import pytest

from base.contracts import RunContext
from base.table import SampleTable
from base.verification.pairs import pairs_of
from data_loader.formats.csv_reader import CsvReader
from data_loader.formats.pattern_reader import PatternReader
from data_loader.prepare.section import build_loader
from data_loader.samples.splits import Split
from data_loader.verification.drawn_pairs import make_pairs
from data_loader.verification.identity_sampler import IdentitySampler
from data_loader.verification.loader import EmbeddingLoader, EmbeddingSettings
from data_loader.verification.pair_reader import PairReader
from data_loader.verification.samples import _counted, _odd_pairs
from data_loader.verification.synthetic import write_verify
from utils import config
from utils.config import ConfigError
from utils.errors import UserError

META = CsvReader("train/train_meta.csv", path_column="file_name", root="train")
VALID = PairReader("validate/validate_label.csv", same="0", root="validate")
TEST = PairReader("test/test_label.csv", root="test", label=None)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify") / "data"
    write_verify(folder, people=12, shots=4, pairs=12, seed=1, size=(32, 32))
    return folder


@pytest.fixture
def folder(drawn, tmp_path):
    """A copy that may be changed."""
    return shutil.copytree(drawn, tmp_path / "data")


def loader(folder, **args):
    defaults = {"valid_reader": VALID, "test_reader": TEST, "num_workers": 0, "batch_size": 8, "image_size": (32, 32)}
    return EmbeddingLoader(
        RunContext(1), EmbeddingSettings(data_dir=str(folder), reader=META, identity="face_id", **(defaults | args))
    )


def rewrite(path, change):
    lines = path.read_text().splitlines()
    path.write_text("\n".join(change(lines)) + "\n")


# What there is ------------------------------------------------------------------------------------------------------


def test_training_batches_have_a_number_for_each_identity(drawn):
    data = loader(drawn)
    batch = next(iter(data.train(0)))
    names = [data.spec.classes["identity"][number] for number in batch["target"]["identity"].tolist()]
    assert names == [data.table("train").strings("face_id")[row] for row in batch["index"].tolist()]
    assert sum(data.spec.counts["identity"]) == len(data.table("train"))


def test_every_picture_of_a_pair_is_evaluated_once(drawn):
    data = loader(drawn)
    rows = [row for _, batch in data.evaluation("valid") for row in batch["index"].tolist()]
    assert sorted(rows) == list(range(len(data.table("valid"))))
    assert len(rows) < 2 * len(pairs_of(data.table("valid")).same)


def test_validation_has_no_target_for_the_loss(drawn):
    assert all(batch["target"] == {} for _, batch in loader(drawn).evaluation("valid"))


def test_the_pairs_are_those_of_the_list_in_its_order(drawn):
    table = loader(drawn).table("valid")
    pairs, ids = pairs_of(table), table.ids()
    found = [f"{ids[a]},{ids[b]},{1 - s}" for a, b, s in zip(*pairs, strict=True)]
    assert found == (drawn / "validate/validate_label.csv").read_text().splitlines()[1:]


def test_a_list_to_predict_is_not_labelled(drawn):
    assert not loader(drawn).labelled("test")


def test_a_list_is_labelled_where_the_config_says_so(drawn):
    assert loader(drawn, test_reader=VALID).labelled("test")


def test_the_sampler_sees_identities(drawn):
    batch = next(iter(loader(drawn, sampler=IdentitySampler(4, 2)).train(0)))
    assert np.unique(batch["target"]["identity"].numpy(), return_counts=True)[1].tolist() == [2] * 4


def test_the_report_counts_people_and_pairs(drawn):
    assert "pairs (" in " ".join(loader(drawn).report())


# Held out -----------------------------------------------------------------------------------------------------------


def held_out(folder, **args):
    return loader(folder, valid_reader=None, split=Split(valid=0.3, **args.pop("split", {})), **args)


def test_people_are_held_out_and_pairs_made_of_them(drawn):
    data = held_out(drawn)
    train, valid = (set(data.table(side).strings("face_id")) for side in ("train", "valid"))
    assert not train & valid
    pairs, who = pairs_of(data.table("valid")), np.array(data.table("valid").strings("face_id"))
    assert ((who[pairs.first] == who[pairs.second]) == (pairs.same == 1)).all() and pairs.known


def test_made_pairs_are_half_of_each_kind_none_twice_and_the_same_each_time():
    people = np.repeat(np.arange(20), 5)
    pairs = make_pairs(people, 100, 0)
    assert (pairs.same == 1).sum() == (pairs.same == 0).sum() == 50
    assert len(set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))) == 100
    assert all(np.array_equal(a, b) for a, b in zip(pairs, make_pairs(people, 100, 0), strict=True))


def test_there_are_no_more_pairs_than_the_pictures_make():
    pairs = make_pairs(np.array([0, 0, 1]), 100, 0)
    assert (pairs.same == 1).sum() == 1 and (pairs.same == 0).sum() == 1


def test_people_with_one_picture_each_make_no_pairs():
    with pytest.raises(UserError, match="0 of them with two pictures"):
        make_pairs(np.arange(5), 10, 0)


def test_validation_of_further_people_may_come_without_pairs(folder):
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg"):
        target = folder / "more" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        source = sorted((folder / "validate").glob("*.jpg"))[len(list((folder / "more").rglob("*.jpg")))]
        shutil.copy(source, target)
    data = loader(folder, valid_reader=PatternReader(r"(?P<face_id>\w+)/.+", root="more"))
    assert len(pairs_of(data.table("valid")).same) == 2


# Mistakes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "file"), [("valid", "validate"), ("test", "test")])
def test_an_image_of_a_pair_list_that_is_not_there_is_named(split, file, folder):
    gone = sorted((folder / file).glob("*.jpg"))[0]
    gone.unlink()
    with pytest.raises(UserError, match=f"{gone.parent}: {gone.name} of the pairs to compare is not there"):
        loader(folder).table(split)


def test_a_person_in_both_sets_is_named(folder):
    (folder / "more/000001").mkdir(parents=True)
    who = META.read(folder).strings("face_id")[0]
    (folder / "more" / who).mkdir(exist_ok=True)
    shutil.copy(sorted((folder / "validate").glob("*.jpg"))[0], folder / "more" / who / "x.jpg")
    with pytest.raises(UserError, match=f"1 values of face_id on both sides \\({who}\\)"):
        loader(folder, valid_reader=PatternReader(r"(?P<face_id>\w+)/.+", root="more")).table("valid")


def test_identical_files_in_both_sets_are_named(folder):
    one, other = sorted((folder / "train").glob("*.jpg"))[0], sorted((folder / "validate").glob("*.jpg"))[0]
    shutil.copy(one, other)
    with pytest.raises(UserError, match=f"{other.name}.*check_bytes=false"):
        loader(folder).table("valid")
    assert loader(folder, check_bytes=False).table("valid")


def test_a_list_without_labels_validates_nothing(drawn):
    with pytest.raises(UserError, match="its pairs have no labels"):
        loader(drawn, valid_reader=PairReader("validate/validate_label.csv", root="validate", label=None)).table("valid")


def test_an_image_without_an_identity_is_named(folder):
    rewrite(folder / "train/train_meta.csv", lambda lines: [*lines[:-1], lines[-1].split(",")[0] + ","])
    with pytest.raises(UserError, match="have no face_id"):
        loader(folder).table("train")


def checked(folder, **changes):
    values = {
        "data_loader": {
            "type": "EmbeddingLoader",
            "args": {
                "data_dir": str(folder),
                "reader": {"type": "CsvReader", "args": {"file": "m.csv", "path_column": "f"}},
                "identity": "who", "image_size": [32, 32], "batch_size": 8, "split": {"valid": 0.2}, **changes,
            },
        }
    }  # fmt: skip
    return build_loader(config.from_values(values, "c.json"), RunContext())


PATTERN = {"type": "PatternReader", "args": {"pattern": r"(?P<face>\w+)/.+"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": None}, "split: found none; allowed: one of valid_reader, split.valid, split.folds and split.column"),
        ({"valid_reader": PATTERN}, "split: found valid_reader and split.valid; allowed: one of"),
        ({"split": {"valid": 0.2, "group": "folder"}}, 'people are split by "who"'),
        ({"reader": PATTERN}, "the reader gives no column who"),
        ({"sampler": {"type": "IdentitySampler", "args": {"identities": 3, "images": 2}}}, "3 identities x 2 images are 6"),
        ({"sampler": {"type": "BalancedSampler", "args": {"labels": ["age"]}}}, 'the only label here is "identity"'),
        ({"eval_transforms": [{"type": "HorizontalFlip"}]}, "eval_transforms"),
    ],
)
def test_a_config_that_cannot_be_is_refused_before_a_file_is_read(changes, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        checked(tmp_path, **changes)


def test_odd_pairs_are_counted():
    pairs = {"image1": ["a", "a", "b", "c"], "image2": ["a", "b", "a", "b"], "same": pa.array([1, 0, 0, 1], pa.int8())}
    table = SampleTable(pathlib.Path(), pa.table({"id": ["a", "b", "c"], "path": ["a", "b", "c"]}), {"pairs": pa.table(pairs)})
    assert _odd_pairs(table) == [
        "warning: 1 pairs of a picture with itself to validate on (a and a)",
        "warning: 1 pairs listed more than once to validate on (a and b)",
    ]
    assert _counted(table) == "4 pairs (2 of one person, 2 of different people) over 3 images"
