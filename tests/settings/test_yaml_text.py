"""YAML of users: what is read of it, and that nothing in it can hurt."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codectok.errors import FormatError
from codectok.settings.values import MAX_BYTES, read
from codectok.settings.yaml_text import SettingPlace, parse

FILE = SettingPlace("x.yaml")


def test_values_know_their_lines_and_how_they_were_written() -> None:
    value, sources = parse("a: 0012\nb:\n  - {c: 1e-3}\n  - no\nd: text\n", FILE)
    assert value == {"a": 10, "b": [{"c": 0.001}, False], "d": "text"}
    assert sources[("a",)] == SettingPlace("x.yaml", 1, "0012")
    assert sources[("b", 0, "c")] == SettingPlace("x.yaml", 3, "1e-3")
    assert sources[("b", 1)] == SettingPlace("x.yaml", 4, "no")
    assert sources[("d",)] == SettingPlace("x.yaml", 5)


def test_aliases_and_merged_mappings_are_written_out() -> None:
    text = "base: &b {x: 1, y: 2}\nrow: {<<: *b, y: 3}\nboth: {<<: [*b, {x: 9, z: 9}]}\nagain: *b\n"
    value, sources = parse(text, FILE)
    assert value["row"] == {"x": 1, "y": 3}
    assert value["both"] == {"x": 1, "y": 2, "z": 9}
    assert value["again"] == value["base"]
    assert value["again"] is not value["base"]
    assert (sources[("row", "x")].line, sources[("row", "y")].line) == (1, 2)


def test_dates_are_text() -> None:
    assert parse("[2024-01-02, 12:30:00]", FILE)[0] == ["2024-01-02", 45000]


BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1 if i else str()}'] * 9)}]\n" for i in range(9)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1 if i else str()}'] * 9)}]}}\n" for i in range(9)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: [1", "x.yaml, line 2: this is not YAML"),
        ("a: b: c", "line 1: this is not YAML"),
        ("\t a: 1", "not YAML"),
        ("a: \x00", "not YAML .special characters"),
        ("a: 1\n---\nb: 2", "line 2: this is not YAML .but found another document"),
        ("a: 1\nb: 2\na: 3", "line 3: a stands twice"),
        ("? [a]\n: b", "a key that is not a name"),
        ("a: 2024-99-99", "'2024-99-99' is no value"),
        ("<<: 3", "<< takes key: value lines alone"),
        ("a: !!python/object/apply:os.system ['ls']", "no values of type .*python/object"),
        ("a: !!python/name:os.system ''", "not YAML"),
        ("a: !!set {b}", "no values of type"),
        ("[" * 60000, "nested too deeply"),
        ("{" * 60000, "nested too deeply"),
        ("[" * 201, "nested too deeply"),
        ("- " * 5000, "nested too deeply"),
        ("[" * 30 + "]" * 30, "more nesting, aliases or values"),
        ("a: &a [*a]", "more nesting, aliases or values"),
        (BOMB, "more nesting, aliases or values"),
        (MERGES, "more nesting, aliases or values"),
    ],
)
def test_what_is_no_settings_is_one_line_and_soon(text: str, message: str) -> None:
    started = time.process_time()
    with pytest.raises(FormatError, match=message) as error:
        parse(text, FILE)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300
    assert time.process_time() - started < 10


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab:-[]{}&*<>!|?,#'\"\n 01.e", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text, FILE)
    except FormatError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_files_that_are_none(tmp_path) -> None:  # type: ignore[no-untyped-def]
    for data, message in (
        (b"\xff\xfe\x00", "not text in UTF-8"),
        (b"a: 1\n" * MAX_BYTES, "too large"),
        (b"- a\n", "is not a recipe: write key: value lines"),
        (b"only words", "is not a recipe"),
    ):
        (tmp_path / "x.yaml").write_bytes(data)
        with pytest.raises(FormatError, match=message):
            read([str(tmp_path / "x.yaml")], [])
    with pytest.raises(FormatError, match="no recipe"):
        read([str(tmp_path)], [])
    (tmp_path / "x.yaml").write_bytes(b"")
    assert read([str(tmp_path / "x.yaml")], []).plain == {}
