"""`laurel.py sort` writes a folder for each person, complete or not at all."""

import pytest

from data_loader.verification.sort import write
from laurel import command
from tests.helpers import ROOT
from utils.errors import UserError


def sources(folder, *names):
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    return paths


def test_the_command_writes_every_training_image_into_its_identitys_folder(verify_folder, tmp_path, capsys):
    config, output = str(ROOT / "configs" / "verify_mobilefacenet.json"), tmp_path / "out"
    assert command("sort", ["-c", config, "-o", str(output), "--set", f"data_loader.args.data_dir={verify_folder}"]) == 0
    assert "72 images of 12 identities" in capsys.readouterr().out
    assert sorted(len(list(folder.iterdir())) for folder in output.iterdir()) == [6] * 12


@pytest.mark.parametrize("link", [False, True])
def test_files_are_copied_or_linked(link, tmp_path):
    (path,) = sources(tmp_path, "a.jpg")
    write(["7"], [path], tmp_path / "out", link)
    assert (tmp_path / "out/7/a.jpg").samefile(path) == link


@pytest.mark.parametrize("name", ["..", "a/b", "a\\b"])
def test_an_identity_that_is_no_folders_name_is_refused(name, tmp_path):
    with pytest.raises(UserError, match="cannot be the name of a folder"):
        write([name], sources(tmp_path, "a.jpg"), tmp_path / "out", False)


def test_two_files_that_would_be_one_are_named(tmp_path):
    with pytest.raises(UserError, match="7/a.jpg would be written more than once"):
        write(["7", "7"], sources(tmp_path, "x/a.jpg", "y/a.jpg"), tmp_path / "out", False)


def test_a_missing_file_leaves_nothing(tmp_path):
    paths = [*sources(tmp_path, "a.jpg"), tmp_path / "gone.jpg"]
    with pytest.raises(UserError, match=r"gone.jpg: No such file.*nothing was written"):
        write(["7", "8"], paths, tmp_path / "out", False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


def test_a_folder_that_exists_is_left_alone(tmp_path):
    with pytest.raises(UserError, match="exists already"):
        write([], [], tmp_path, False)
