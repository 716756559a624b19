"""Csv: classes and values, the test set, and errors that name the file, the line and the column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcli.core.errors import ConfigError, DataError
from dlcli.data.csv_data import Csv
from dlcli.data.dataset import Access, Loaded, Targets
from dlcli.data.table import read_table

FLOWERS = "length,kind,width\n1,rose,0.5\n2,lily,1e-3\n3,rose,-4\n"
NUMBERS = "a,n,b\n1,7,2\n2,3,4\n3,7.0,6\n"


def csv(folder: Path, text: str | bytes, wanted: Targets = "classes", **options: object) -> Csv:
    path = folder / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Csv(path=str(path), **options).with_targets(wanted)  # type: ignore[arg-type]


def load(dataset: Csv, seed: int = 0) -> Loaded:
    return dataset.load(seed, Access(offline=True))


@pytest.mark.parametrize("wanted", ["classes", "values"])
def test_text_becomes_classes_in_alphabetical_order(tmp_path: Path, wanted: Targets) -> None:
    dataset = csv(tmp_path, FLOWERS, wanted, target="kind")
    loaded = load(dataset)
    assert loaded.train.inputs.tolist() == [[1, 0.5], [2, 1e-3], [3, -4]]
    assert loaded.train.targets.tolist() == [1, 0, 1]
    assert loaded.info.class_names == ("lily", "rose")
    assert (loaded.info.classes, loaded.info.train, loaded.info.test, loaded.test) == (2, 3, 0, None)
    info = dataset.info(0)
    assert (info.input_shape, info.target_shape, info.classes, info.train, info.test) == ((2,), (), None, None, 0)


def test_the_loss_decides_what_numbers_are(tmp_path: Path) -> None:
    classes = load(csv(tmp_path, NUMBERS, "classes", target="n"))
    assert classes.train.targets.tolist() == [1, 0, 1]
    assert classes.info.class_names == ("3", "7")
    values = csv(tmp_path, NUMBERS, "values", target="n")
    assert load(values).train.targets.tolist() == [[7], [3], [7]]
    assert values.info(0).target_shape == load(values).info.target_shape == (1,)
    assert load(values).info.classes is None
    many = csv(tmp_path, "n,x\n" + "".join(f"{i},0\n" for i in (10, 9, 100)), target="n")
    assert load(many).info.class_names == ("9", "10", "100")


def test_several_targets_stand_in_the_order_of_the_option(tmp_path: Path) -> None:
    loaded = load(csv(tmp_path, NUMBERS, "values", target=["b", "a"]))
    assert loaded.train.targets.tolist() == [[2, 1], [4, 2], [6, 3]]
    assert loaded.train.inputs.tolist() == [[7], [3], [7]]
    undecided = csv(tmp_path, NUMBERS, "classes", target=["b", "a"])  # values all the same, as the doctor is told
    assert (undecided.info(0).classes, undecided.info(0).target_shape) == (None, (2,))
    assert load(undecided).train.targets.tolist() == loaded.train.targets.tolist()
    for wrong in ([], ["a", "a"]):
        with pytest.raises(ConfigError, match="expected one or more different columns"):
            csv(tmp_path, NUMBERS, "values", target=wrong).info(0)


def test_a_share_is_held_out_whatever_the_seed(tmp_path: Path) -> None:
    text = "x,y\n" + "".join(f"{i},{i % 3}\n" for i in range(50))
    one, other = (load(csv(tmp_path, text, target="y", test=0.2), seed) for seed in (0, 1))
    assert one.test is not None
    assert (one.info.train, one.info.test) == (40, 10)
    np.testing.assert_array_equal(one.test.inputs, other.test.inputs)
    assert sorted([*one.train.inputs[:, 0], *one.test.inputs[:, 0]]) == list(range(50))
    np.testing.assert_array_equal(one.test.targets, one.test.inputs[:, 0] % 3)
    with pytest.raises(DataError, match="got one row, expected at least two"):
        load(csv(tmp_path, "x,y\n1,2\n", target="y", test=0.2))


def test_a_test_file_may_have_its_columns_in_another_order(tmp_path: Path) -> None:
    test = tmp_path / "test.csv"
    test.write_text("width,length,kind\n9,8,lily\n")
    dataset = csv(tmp_path, FLOWERS, target="kind", test=str(test))
    loaded = load(dataset)
    assert loaded.test is not None
    assert loaded.test.inputs.tolist() == [[8, 9]]
    assert loaded.test.targets.tolist() == [0]
    assert set(loaded.files) == {dataset.path, str(test)}
    for text, words in [
        ("width,length,kind\n9,8,tulip\n", r"test\.csv:2: column 'kind': got 'tulip', expected one of the 2 classes"),
        ("width,kind\n9,lily\n", r"test\.csv:1: no column 'length'"),
        ("width,length,kind,age\n9,8,lily,1\n", r"test\.csv:1: column 'age' is not in"),
        (FLOWERS, "the same content as"),
    ]:
        test.write_text(text)
        with pytest.raises(DataError, match=words):
            load(dataset)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "got an empty file"),
        ("\n\n", "got an empty file"),
        ("a,y\n", "got no rows"),
        ("1,2\n3,4\n", "1: got only numbers, expected a line of column names"),
        ("a,a,y\n1,2,3\n", r"1: column 'a' stands there twice \(1 and 2\)"),
        (",a,y\n1,2,3\n", "1: column 1 has no name"),
        ("a,Y\n1,2\n", "1: no column 'y'; did you mean 'Y'"),
        ("y\n1\n", "1: got only target columns"),
        ("a;y\n1;2\n", "1: no column 'y'"),
        ("a,y\n1,2\n3\n", "3: got 1 cells, expected 2"),
        ("a,y\n1,2\n3,4,5\n", "3: got 3 cells, expected 2"),
        ("a,y\n1,2\n,4\n", "3: column 'a': got nothing, expected a number"),
        ("a,y\n1,2\n\n x ,4\n", "4: column 'a': got ' x ', expected a number"),
        ("a,y\nnan,2\n", "2: column 'a': got 'nan', expected a number"),
        ("a,y\n1e999,2\n", "2: column 'a': got '1e999', expected a number"),
        ("a,y\n1_000,2\n", "2: column 'a': got '1_000', expected a number"),
        ("a,y\n1,2\n1,\n", "3: column 'y': got nothing, expected a class"),
        ("a,y\n1,2\n1,x\n", "3: column 'y': got 'x', expected a class as a whole number"),
        ("a,y\n1,0.5\n", "2: column 'y': got '0.5', expected a class as a whole number; .* MSELoss"),
        ('a,y\n1,"2\n', "expected comma-separated values"),
        ("a,y\n1," + "x" * 200_000 + "\n", "field larger than field limit"),
        (b"a,y\n1,\xff\n", "2: byte 0xff is not UTF-8"),
        (b"a,y\n\x001,2\n", r"2: column 'a': got '\\x001'"),
    ],
)
def test_problems_name_line_and_column(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        load(csv(tmp_path, text, target="y"))
    (problem,) = caught.value.problems
    assert problem.startswith(str(tmp_path / "table.csv"))
    assert len(caught.value.lines()[0]) <= 400


def test_a_missing_value_among_values_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="3: column 'y': got nothing, expected a number"):
        load(csv(tmp_path, "a,y\n1,2\n1,\n", "values", target="y"))


def test_spreadsheets_habits_are_read(tmp_path: Path) -> None:
    loaded = load(csv(tmp_path, b'\xef\xbb\xbf"a", y \r\n"1",2\r\n\r\n 2 ,3\r\n', target="y"))
    assert loaded.train.inputs.tolist() == [[1], [2]]
    assert loaded.train.targets.tolist() == [0, 1]


def test_facts_of_a_large_file_come_from_its_head(tmp_path: Path) -> None:
    text = ("a,y\n" + "1,é\n" * 400_000).encode()
    assert csv(tmp_path, text, target="y").info(0).input_shape == (1,)


def test_a_missing_file_is_no_obstacle_before_loading(tmp_path: Path) -> None:
    dataset = Csv(path=str(tmp_path / "none.csv"), target="y", test=0.5)
    info = dataset.with_targets("values").info(0)
    assert (info.input_shape, info.target_shape, info.train, info.test) == (None, (1,), None, None)
    with pytest.raises(DataError, match="no such file") as caught:
        load(dataset)
    assert caught.value.code == 4


@given(st.text(alphabet='a,y\n\r"0123.e-_ \x00;é', max_size=60))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_r18_any_text_gives_a_table_or_a_data_error(text: str) -> None:
    try:
        table = read_table(text.encode(), "t")
    except DataError:
        return
    assert all(len(row) == len(table.columns) for row in table.rows)
