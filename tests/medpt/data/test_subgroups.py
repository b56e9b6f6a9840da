"""The subgroup of each test item, from a user's table and from what built-in readers know."""

from dataclasses import replace
from pathlib import Path

import pytest
import toy_data
import user_data

from medpt.data import open_dataset
from medpt.data.subgroups import MOST_GROUPS, groups_of_test_items
from medpt.errors import InputError
from medpt.specs import Prepare

TABLE = """image,label,patient,split,sex
9,healthy,p1,test,F
1,glaucoma,p2,test,M
5,glaucoma,p1,test,
2,healthy,p3,train,M
3,glaucoma,p4,train,F
"""
OFFICIAL = Prepare("Clinic", "print", "resize(32)")


def clinic(folder: Path, table: str = TABLE, **facts: str) -> Path:
    for line in table.splitlines()[1:]:
        user_data.write_picture(folder / "images" / f"{line.partition(',')[0]}.png")
    return user_data.write_card(folder, user_data.CLASSIFIED | facts, table)


def test_groups_are_in_the_order_of_the_prepared_images(tmp_path: Path) -> None:
    dataset = open_dataset("Clinic", clinic(tmp_path))
    assert groups_of_test_items(dataset, OFFICIAL, "sex") == ["M", "unknown", "F"]  # images 1, 5, 9


def test_group_of_a_patient_is_that_of_all_images(tmp_path: Path) -> None:
    table = TABLE.replace("5,glaucoma,p1,test,", "5,healthy,p1,test,M").replace("1,glaucoma", "1,healthy")
    dataset = open_dataset("Clinic", clinic(tmp_path, table, evaluate_by="patient"))
    assert groups_of_test_items(dataset, OFFICIAL, "sex") == ["several values", "M"]  # p1, p2


def test_unknown_column_is_refused_with_those_of_the_table(tmp_path: Path) -> None:
    dataset = open_dataset("Clinic", clinic(tmp_path))
    with pytest.raises(InputError, match=r"`gender`: .*labels.csv has no such column; .*sex"):
        groups_of_test_items(dataset, OFFICIAL, "gender")


def test_column_of_many_values_is_refused(tmp_path: Path) -> None:
    rows = "".join(f"{n},glaucoma,q{n},test,{n} years\n" for n in range(20, 21 + MOST_GROUPS))
    dataset = open_dataset("Clinic", clinic(tmp_path, TABLE.replace("sex", "age") + rows))
    with pytest.raises(InputError, match=f"at most {MOST_GROUPS} are accepted: make a column of groups"):
        groups_of_test_items(dataset, OFFICIAL, "age")


def test_built_in_reader_gives_what_it_knows_of_images() -> None:
    data = toy_data.dataset("classification")
    known = tuple(replace(r, meta={"view": f"v{int(r.group_id[1:]) % 2}"}) for r in data)
    data = replace(data, records=known, info=replace(data.info, reader="toy"))
    tested = sorted((r for r in data if r.split == "test"), key=lambda r: r.id)
    assert groups_of_test_items(data, OFFICIAL, "view") == [r.meta["view"] for r in tested]
    with pytest.raises(InputError, match=r"no column `sex`; .*view"):
        groups_of_test_items(data, OFFICIAL, "sex")
