"""The members of a group, and whether a record on disk is of the same ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from base.saved.group import STAGES, Group
from tests.helpers import ROOT
from trainer.experiment import checking
from trainer.experiment.group import Member, create_group, plain_selection, require_same_members
from trainer.experiment.init_from import InitFrom, Selection
from utils import config, files
from utils.errors import UserError

PLAIN = {"include": ["*"], "exclude": [], "strict": True}


def member(name: str, *overrides: str) -> Member:
    return Member(name, checking.check(config.read(ROOT / "configs" / "masks.json", overrides)))


@pytest.fixture
def members() -> list[Member]:
    second = replace(member("two", "seed=5"), after="one", which="last", selection=Selection(exclude=["heads.*"]))
    return [member("one"), second]


@pytest.fixture
def group(tmp_path: Path, members: list[Member]) -> Group:
    return create_group(tmp_path, "masks", STAGES, members)


def test_what_a_member_begins_with_is_kept(group: Group, members: list[Member]) -> None:
    assert group.members["one"]["start"] == {"after": None, "which": "best", **PLAIN}
    assert group.members["two"]["start"] == {"after": "one", "which": "last", **PLAIN, "exclude": ["heads.*"]}
    assert group.members["two"]["config"] == members[1].experiment.raw.values


def test_a_selection_is_kept_without_what_a_subclass_adds() -> None:
    assert plain_selection(InitFrom(checkpoint="x.pth", include=["a"])) == {**PLAIN, "include": ["a"]}


def test_the_same_members_may_be_run_in_another_way(group: Group, members: list[Member]) -> None:
    require_same_members(group, members)
    require_same_members(group, [replace(members[0], experiment=member("one", "trainer.epochs=99").experiment), members[1]])


def test_other_members_are_refused(group: Group, members: list[Member]) -> None:
    for others in (members[:1], members[::-1], [*members, member("three")]):
        with pytest.raises(UserError, match="has the members one, two"):
            require_same_members(group, others)


@pytest.mark.parametrize("change", [{"after": None}, {"which": "best"}, {"selection": Selection()}])
def test_other_first_weights_are_refused(group: Group, members: list[Member], change: dict[str, object]) -> None:
    with pytest.raises(UserError, match="two begins with other weights than in"):
        require_same_members(group, [members[0], replace(members[1], **change)])  # type: ignore[arg-type]


def test_a_config_that_learns_something_else_is_refused_by_key(group: Group, members: list[Member]) -> None:
    with pytest.raises(UserError, match="seed: the checkpoint was trained with 1, this config says 7"):
        require_same_members(group, [replace(members[0], experiment=member("one", "seed=7").experiment), members[1]])


def test_a_config_in_the_record_that_does_not_hold_is_one_line_for_each_problem(group: Group, members: list[Member]) -> None:
    entries = {**group.members, "one": {**group.members["one"], "config": {"name": "x"}}}
    files.write_json(group.folder / "group.json", {"kind": STAGES, "members": entries})
    with pytest.raises(UserError, match=r"group.json: arch: is missing"):
        require_same_members(Group(group.folder), members)
