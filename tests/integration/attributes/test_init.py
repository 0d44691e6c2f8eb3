"""`laurel.py init` recognises every format of labelled pictures, and the config that it writes trains."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import laurel
from tests.started import init, names, train, write_pictures
from utils.errors import UserError

KINDS = ["cat", "dog"]


def listed(folder: Path, header: str, rows: list[str], name: str = "labels.csv") -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join([header, *rows]) + "\n")
    return folder


def test_a_folder_for_each_class(tmp_path, capsys):
    folder = write_pictures(tmp_path / "pets", names("{}/{}.png", KINDS, range(10)))
    values = init(folder)
    args = values["data_loader"]["args"]
    assert args["labels"] == {"label": {"classes": KINDS}} and args["split"] == {"stratify": ["label"], "valid": 0.2}
    assert args["reader"]["args"] == {"root": ".", "pattern": "(?P<label>[^/]+)/.+"}
    assert "class-folders (attributes), 20 pictures\n  label     label: cat 10, dog 10" in capsys.readouterr().out
    assert train(values, tmp_path).status == "finished"


def test_sides_above_the_folders_of_the_classes(tmp_path):
    folder = write_pictures(tmp_path / "pets", names("Train/{}/{}.png", KINDS, range(6)))
    write_pictures(folder, [*names("val/{}/{}.png", KINDS, range(3)), *names("test/{}/{}.png", KINDS, range(3))])
    values = init(folder)
    args = values["data_loader"]["args"]
    assert [args[key]["args"]["root"] for key in ("reader", "valid_reader", "test_reader")] == ["Train", "val", "test"]
    run = train(values, tmp_path)
    assert run.status == "finished" and "accuracy" in laurel.evaluate(run, "test")


def test_copies_of_roboflow_stay_together(tmp_path):
    folder = write_pictures(tmp_path / "rf", names("{}/{}_jpg.rf.{}.jpg", KINDS, "abcdef", ["0a1", "b2c"]))
    args = init(folder)["data_loader"]["args"]
    assert args["split"]["group"] == "source"


def test_the_names_of_utkface(tmp_path, capsys):
    good = names("{}_{}_{}_2017{}.jpg", [20, 35, 70], [0, 1], range(5), range(2))
    values = init(write_pictures(tmp_path / "UTKFace", [*good, "61_1_2017.jpg"]))
    assert list(values["data_loader"]["args"]["labels"]) == ["age", "gender", "race"]
    assert "odd names 1 pictures" in capsys.readouterr().out
    assert train(values, tmp_path).status == "finished"


def test_the_folders_of_the_mask_competition(masks_folder, tmp_path):
    (tmp_path / "masks").symlink_to(masks_folder)
    values = init(tmp_path / "masks")
    args = values["data_loader"]["args"]
    assert args["split"]["group"] == "person" and list(args["labels"]) == ["mask", "gender", "age"]
    assert values["submission"]["args"] == {
        "sample": "eval/info.csv", "id_column": "ImageID", "answer_column": "ans", "file": "info.csv",
    }  # fmt: skip
    run = train(values, tmp_path)
    laurel.evaluate(run, "test", output=tmp_path / "out")
    assert (tmp_path / "out" / "info.csv").is_file()


def test_a_table_with_labels_people_and_sides(tmp_path, capsys):
    folder = write_pictures(tmp_path / "mine", names("img/{}.png", range(24)))
    rows = [f"{n},{n}.png,{KINDS[n % 2]},{18 + 2 * n},p{n // 2},{'train' if n < 16 else 'val'}" for n in range(24)]
    values = init(listed(folder, "id,file,kind,age,person,split", rows))
    args = values["data_loader"]["args"]
    assert args["reader"]["args"] == {"file": "labels.csv", "path_column": "file", "root": "img"}
    assert args["split"] == {"group": "person", "column": "split", "train": ["train"], "valid": ["val"]}
    assert list(args["labels"]) == ["kind", "age"] and args["labels"]["age"]["bins"] == [30, 60]
    assert "people    12 in the column person" in capsys.readouterr().out
    assert train(values, tmp_path, split={**args["split"], "check_bytes": True}).status == "finished"


def test_names_without_an_ending_in_a_table_with_its_own_validation_table(tmp_path):
    folder = write_pictures(tmp_path / "mine", [*names("train/{}.jpg", range(12)), *names("valid/v{}.jpg", range(6))])
    listed(folder, "image_id,kind", [f"{n},{KINDS[n % 2]}" for n in range(12)], "train.csv")
    listed(folder, "image_id,kind", [f"v{n},{KINDS[n % 2]}" for n in range(6)], "valid.csv")
    values = init(folder)
    args = values["data_loader"]["args"]
    assert args["reader"]["args"] == {"file": "train.csv", "path_column": "image_id", "root": "train", "suffix": ".jpg"}
    assert args["valid_reader"]["args"]["file"] == "valid.csv" and "split" not in args
    assert train(values, tmp_path).status == "finished"


def test_a_column_of_zeros_and_ones_for_each_class(tmp_path):
    folder = write_pictures(tmp_path / "rf", names("train/{}.jpg", range(12)))
    rows = [f"{n}.jpg, {n % 3 == 0:d}, {n % 3 == 1:d}, {n % 2}" for n in range(12)]
    values = init(listed(folder, "filename, bus, car, door", rows, "train/_classes.csv"))
    labels = values["data_loader"]["args"]["labels"]
    assert list(labels) == ["bus", "car", "door"] and labels["bus"]["values"] == {"0": "no", "1": "yes"}
    assert train(values, tmp_path).status == "finished"


def test_columns_of_which_one_is_1_are_the_classes_of_one_label(tmp_path):
    folder = write_pictures(tmp_path / "rf", names("train/{}.jpg", range(12)))
    rows = [f"{n}.jpg, {n % 3 == 0:d}, {n % 3 == 1:d}, {n % 3 == 2:d}" for n in range(12)]
    values = init(listed(folder, "filename, bus, car, door", rows, "train/_classes.csv"))
    assert values["data_loader"]["args"]["labels"] == {"label": {"classes": ["bus", "car", "door"]}}
    assert train(values, tmp_path).status == "finished"


def test_more_classes_than_a_config_lists_are_found_in_the_data(tmp_path):
    folder = write_pictures(tmp_path / "many", names("img/{}_{}.jpg", range(60), range(2)))
    values = init(listed(folder, "file,kind", names("{0}_{1}.jpg,kind{0}", range(60), range(2))))
    assert values["data_loader"]["args"]["labels"] == {"kind": {"classes": "data"}}


def test_the_lists_of_celeba(tmp_path):
    folder = write_pictures(tmp_path / "celeba", names("img/{:06d}.jpg", range(1, 17)))
    files = [f"{n:06d}.jpg" for n in range(1, 17)]
    traits = ["Bald", "Male", "Young", "Smiling", "Chubby"]
    lines = [f"{file} " + "  ".join("1" if (n >> k) & 1 else "-1" for k in range(5)) for n, file in enumerate(files)]
    listed(folder, "16", [" ".join(traits), *lines], "list_attr_celeba.txt")
    listed(folder, f"{files[0]} 0", [f"{file} {int(n > 11)}" for n, file in enumerate(files[1:], 1)], "list_eval_partition.txt")
    listed(folder, f"{files[0]} 0", [f"{file} {n // 2}" for n, file in enumerate(files[1:], 1)], "identity_CelebA.txt")
    values = init(folder)
    args = values["data_loader"]["args"]
    assert list(args["labels"]) == traits and args["reader"]["args"]["root"] == "img"
    assert args["split"] == {"group": "person", "column": "part", "train": ["train"], "valid": ["valid"]}
    assert values["trainer"]["monitor"] == "min val/loss"
    assert train(values, tmp_path).status == "finished"


def test_ten_thousand_pictures_take_less_than_ten_seconds(tmp_path):
    for kind in range(10):
        (tmp_path / "many" / f"kind{kind}").mkdir(parents=True)
        for number in range(1000):
            (tmp_path / "many" / f"kind{kind}" / f"{number}.jpg").touch()
    start = time.monotonic()
    assert laurel.command("init", [str(tmp_path / "many"), "-o", str(tmp_path / "c.json")]) == 0
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("files", "words", "message"),
    [
        ([], [], "holds no pictures; give the folder that has them"),
        (["a.png", "b.png"], [], "2 pictures, but no annotations for .*needed is a folder for each class"),
        (["a.png", "t.csv:who,what|x,1|y,2"], ["t.csv"], "has the columns who, what, of which none names pictures below"),
        (["a.png"], ["--format", "cocoa"], "--format cocoa: unknown; allowed: celeba, class-folders"),
        (["a.png"], ["none.csv"], "none.csv: is not there; give a folder with pictures"),
    ],
)
def test_what_cannot_be_recognised_is_one_line_that_says_what_to_do(tmp_path, files, words, message):
    folder = tmp_path / "data"
    folder.mkdir()
    for entry in files:
        name, _, text = entry.partition(":")
        write_pictures(folder, [name]) if not text else (folder / name).write_text(text.replace("|", "\n"))
    path = folder / words.pop(0) if words and words[0].endswith(".csv") else folder
    with pytest.raises(UserError, match=message) as error:
        laurel.command("init", [str(path), *words, "-o", str(tmp_path / "c.json")])
    assert "\n" not in str(error.value)


def test_a_config_is_never_overwritten_and_a_folder_is_no_config(tmp_path):
    folder = write_pictures(tmp_path / "pets", names("{}/{}.png", KINDS, range(4)))
    init(folder)
    with pytest.raises(UserError, match="config.json: exists already"):
        init(folder)
    with pytest.raises(UserError, match=f"{folder}: is no config; write one with: python laurel.py init {folder}"):
        laurel.command("train", [str(folder)])
