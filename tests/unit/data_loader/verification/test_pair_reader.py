"""Lists of pairs: every picture once, every mistake named with its line."""

import pytest

from base.verification.pairs import pairs_of
from data_loader.formats.csv_reader import CsvReader
from data_loader.formats.pattern_reader import PatternReader
from data_loader.verification.pair_reader import LfwPairsReader, PairReader
from utils.errors import UserError


def write(folder, text, name="pairs.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_every_picture_is_a_row_once_and_pairs_keep_their_order(tmp_path):
    table = PairReader("pairs.csv", same="0", root="faces", suffix=".jpg").read(
        write(tmp_path, "image1,image2,label\nb,a,0\na,c,1\nb,c,1\n")
    )
    assert table.ids() == ["a", "b", "c"] and table.paths() == ["a.jpg", "b.jpg", "c.jpg"]
    assert table.root == tmp_path / "faces"
    found = pairs_of(table)
    assert found.first.tolist() == [1, 0, 1] and found.second.tolist() == [0, 2, 2] and found.same.tolist() == [1, 0, 0]


def test_which_label_means_the_same_is_the_configs_to_say(tmp_path):
    reader = PairReader("pairs.csv", same="yes", different="no")
    assert pairs_of(reader.read(write(tmp_path, "image1,image2,label\na,b,yes\na,c,no\n"))).same.tolist() == [1, 0]


def test_without_a_label_column_nothing_is_known(tmp_path):
    found = pairs_of(PairReader("pairs.csv", label=None).read(write(tmp_path, "image1,image2,label\na,b,0\na,c,0\n")))
    assert found.same.tolist() == [-1, -1] and not found.known


@pytest.mark.parametrize(("label", "lacks"), [("0", "different people"), ("1", "one person")])
def test_a_list_of_one_kind_is_refused(label, lacks, tmp_path):
    with pytest.raises(UserError, match=f"pairs.csv: none of its 1 pairs shows {lacks}"):
        PairReader("pairs.csv", same="0").read(write(tmp_path, f"image1,image2,label\na,b,{label}\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image1,image,label\na,b,0\n", "line 1: no column image2 .*did you mean"),
        ("image1,image2,label\na,b,0\na,c,2\na,d,\n", r"line 3 \(2\), line 4 \(nothing\): the label is none of 0, 1"),
        ("image1,image2,label\na,,0\nc,b,1\n", r"line 2 \(a, nothing\): a pair needs two pictures"),
        ("image1,image2,label\na,b,0\n../x,b,1\n", r"line 3 \(\.\./x\): no file of this name is below .*; paths must stay below"),
        ("image1,image2,label\na,b\n", "line 2 has 2 fields"),
    ],
)
def test_a_mistake_is_named_with_its_line(text, message, tmp_path):
    with pytest.raises(UserError, match=message):
        PairReader("pairs.csv", same="0").read(write(tmp_path, text))


def test_one_value_cannot_mean_both():
    with pytest.raises(UserError, match="which is reader.args.different too"):
        PairReader("pairs.csv", same="1", different="1")


# LFW ----------------------------------------------------------------------------------------------------------------

VIEW_2 = "2\t1\nAda\t1\t2\nAda\t1\tBob\t3\nCyd\t4\t5\nBob\t1\tCyd\t4\n"
VIEW_1 = "2\nAda\t1\t2\nBob\t1\t3\nAda\t1\tBob\t3\nBob\t1\tCyd\t4\n"


def test_view_2_has_folds_of_the_same_then_different_pairs(tmp_path):
    table = LfwPairsReader(root="lfw").read(write(tmp_path, VIEW_2, "pairs.txt"))
    assert table.paths()[0] == "Ada/Ada_0001.jpg" and table.strings("person")[0] == "Ada"
    pairs = table.related["pairs"].to_pydict()
    assert pairs["same"] == [1, 0, 1, 0] and pairs["fold"] == [0, 0, 1, 1]
    assert (pairs["image1"][3], pairs["image2"][3]) == ("Bob/Bob_0001.jpg", "Cyd/Cyd_0004.jpg")


def test_view_1_is_one_fold(tmp_path):
    pairs = LfwPairsReader("train.txt").read(write(tmp_path, VIEW_1, "train.txt")).related["pairs"].to_pydict()
    assert pairs["same"] == [1, 1, 0, 0] and set(pairs["fold"]) == {0}


def test_the_folds_stay_with_their_pairs_when_the_pictures_are_sorted(tmp_path):
    table = LfwPairsReader().read(write(tmp_path, VIEW_2, "pairs.txt")).sorted()
    assert table.related["pairs"]["fold"].to_pylist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ten\t300\n", 'line 1: found "ten 300"; expected'),
        ("", "line 1: found"),
        ("2\t1\nAda\t1\t2\n", r"has 1 pairs; its first line says 4 \(2 x 2 x 1\)"),
        ("1\t1\nAda\t1\tBob\t2\nAda\t1\tBob\t3\n", "line 2: .*expected here: name number number"),
        ("1\t1\nAda\t1\t2\nAda\t1\tAda\t3\n", "line 3: .*name number other-name number"),
        ("1\t1\nAda\tone\t2\nAda\t1\tBob\t3\n", "line 2"),
        ("1\t1\n../x\t1\t2\nAda\t1\tBob\t3\n", "line 2"),
    ],
)
def test_a_list_that_is_not_lfws_is_refused(text, message, tmp_path):
    with pytest.raises(UserError, match=f"pairs.txt: .*{message}"):
        LfwPairsReader().read(write(tmp_path, text, "pairs.txt"))


def test_a_missing_list_is_named(tmp_path):
    with pytest.raises(UserError, match=r"pairs.txt: cannot be read \(No such file"):
        LfwPairsReader().read(tmp_path)


# The other layouts need no reader of their own ----------------------------------------------------------------------


def test_a_list_of_faces_is_read_by_the_csv_reader(tmp_path):
    folder = write(tmp_path, "file_name,face_id\na.jpg,7\nb.jpg,7\n", "meta.csv")
    table = CsvReader("meta.csv", path_column="file_name", root="train").read(folder)
    assert table.strings("face_id") == ["7", "7"] and table.ids() == ["a.jpg", "b.jpg"]


def test_a_folder_for_each_identity_is_read_by_the_pattern_reader(tmp_path):
    for name in ("7/a.jpg", "8/b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert PatternReader(r"(?P<face_id>[^/]+)/.+").read(tmp_path).strings("face_id") == ["7", "8"]


def test_what_one_person_is_called_has_no_default(tmp_path):
    with pytest.raises(UserError, match="reader.args.same: is not set; say what label says of one person, 0 or 1. Lists differ"):
        PairReader("pairs.csv")
    with pytest.raises(UserError, match="reader.args.different: is not set"):
        PairReader("pairs.csv", same="yes")
    lines = "image1,image2,label\na,b,1.0\na,c,0\n"
    assert pairs_of(PairReader("pairs.csv", same="1").read(write(tmp_path, lines))).same.tolist() == [1, 0]


def test_the_csv_of_kaggle_is_read(tmp_path):
    (tmp_path / "pairs.csv").write_text("name,imagenum1,imagenum2,\nAda_L,1,4,\nAda_L,1,Alan_T,2\n")
    table = LfwPairsReader("pairs.csv").read(tmp_path)
    assert table.related["pairs"].to_pylist() == [
        {"image1": "Ada_L/Ada_L_0001.jpg", "image2": "Ada_L/Ada_L_0004.jpg", "same": 1},
        {"image1": "Ada_L/Ada_L_0001.jpg", "image2": "Alan_T/Alan_T_0002.jpg", "same": 0},
    ]
    (tmp_path / "pairs.csv").write_text("name,imagenum1,imagenum2\nAda_L,1,4\n")
    with pytest.raises(UserError, match="none of its 1 pairs shows different people"):
        LfwPairsReader("pairs.csv").read(tmp_path)


def test_the_list_of_calfw_is_read(tmp_path):
    lines = "Ada_L_0001.jpg 1\nAda_L_0002.jpg 1\nAda_L_0001.jpg 0\nAlan_T_0001.jpg 0\n"
    (tmp_path / "pairs.txt").write_text(lines)
    table = LfwPairsReader("pairs.txt").read(tmp_path)
    assert pairs_of(table).same.tolist() == [1, 0]
    assert table.strings("person") == ["Ada_L", "Ada_L", "Alan_T"]
    (tmp_path / "pairs.txt").write_text(lines.replace("2.jpg 1", "2.jpg 0"))
    with pytest.raises(UserError, match="line 1: expected: two lines"):
        LfwPairsReader("pairs.txt").read(tmp_path)
