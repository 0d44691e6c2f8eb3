"""`laurel.py init` recognises people in folders, in tables and in lists of pairs, and the config that it writes trains."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import laurel
from tests.started import init, names, train, write_pictures
from utils.errors import UserError

PEOPLE = ["Ada_L", "Bob_M", "Cem_N", "Dan_O", "Eve_P", "Fay_Q"]
FEW = {"identities": 2, "images": 2}
SMALL = {"image_size": [32, 32], "batch_size": 4, "sampler": {"type": "IdentitySampler", "args": FEW}}


@pytest.fixture
def faces(tmp_path):
    return write_pictures(tmp_path / "faces", [f"{who}/{who}_{n:04d}.jpg" for who in PEOPLE for n in range(1, 5)])


def test_a_folder_for_each_person(faces, tmp_path, capsys):
    values = init(faces)
    args = values["data_loader"]["args"]
    assert args["identity"] == "person" and args["split"] == {"valid": 0.3} and args["sampler"]["args"]["identities"] == 4
    assert (
        "person-folders (verification), 24 pictures\n  people    6 with 24 pictures, 0 of them with one"
        in capsys.readouterr().out
    )
    assert train(values, tmp_path, **SMALL).status == "finished"


def test_the_pairs_of_lfw_beside_the_folders(faces, tmp_path):
    lines = ["2", *(f"{who}\t1\t2" for who in PEOPLE[:2]), "Ada_L\t1\tBob_M\t1", "Cem_N\t2\tDan_O\t3"]
    (faces / "pairs.txt").write_text("\n".join(lines))
    values = init(faces)
    args = values["data_loader"]["args"]
    assert args["test_reader"] == {"type": "LfwPairsReader", "args": {"file": "pairs.txt", "root": "."}}
    run = train(values, tmp_path, **SMALL)
    assert run.status == "finished" and "accuracy" in laurel.evaluate(run, "test")


def test_a_table_of_people_with_lists_of_pairs_whose_meaning_is_proposed(tmp_path, capsys):
    folder = tmp_path / "verify"
    write_pictures(folder, [*names("train/{}.png", range(24)), *names("test/t{}.png", range(8))])
    rng = np.random.default_rng(1)
    (folder / "validate").mkdir()
    for who in range(8):  # two pictures of each person that are nearly the same
        face = rng.integers(0, 256, (32, 32, 3), np.uint8)
        for shot in "ab":
            cv2.imwrite(str(folder / "validate" / f"{shot}{who}.png"), cv2.add(face, rng.integers(0, 9, face.shape, np.uint8)))
    (folder / "train/meta.csv").write_text("file_name,face_id\n" + "".join(f"{n}.png,{n // 4}\n" for n in range(24)))
    pairs = [f"a{n}.png,b{(n + k) % 8}.png,{k}" for k in (0, 1) for n in range(8)]
    (folder / "validate/label.csv").write_text("\n".join(["image1,image2,label", *pairs]))
    (folder / "test/label.csv").write_text("\n".join(["image1,image2,label", *(f"t{n}.png,t{n + 1}.png,0" for n in range(7))]))
    values = init(folder)
    args = values["data_loader"]["args"]
    assert args["valid_reader"]["args"]["same"] == "0" and args["valid_reader"]["args"]["root"] == "validate"
    assert args["test_reader"]["args"]["label"] is None and args["reader"]["args"]["root"] == "train"
    assert values["submission"]["args"] == {"same": "0", "different": "1"}
    assert "label 0 8, 1 8; 0 seems to be one person" in capsys.readouterr().out
    assert train(values, tmp_path, **SMALL).status == "finished"


def test_pairs_alone_train_nothing_and_say_so(tmp_path):
    folder = write_pictures(tmp_path / "pairs", names("{}.png", "abcd"))
    (folder / "pairs.csv").write_text("image1,image2,label\na.png,b.png,0\nc.png,d.png,1\n")
    with pytest.raises(UserError, match="pairs.csv: has the columns image1, image2, label, of which none"):
        laurel.command("init", [str(folder / "pairs.csv"), "--task", "verification", "-o", str(tmp_path / "c.json")])
