"""Settings from values, and what is said of those that cannot be taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from codectok.errors import FormatError
from codectok.settings.build import build, build_from, flat
from codectok.settings.explain import explain
from codectok.settings.kinds import Count, NotNegative, Positive, Share, one_or_more
from codectok.settings.values import read


@dataclass(frozen=True)
class Part:
    """A part."""

    steps: Count
    """How many."""
    rate: Positive = 1.0
    """How fast."""

    def __post_init__(self) -> None:
        if self.rate > self.steps:
            raise FormatError("rate is more than steps")


@dataclass
class Where:
    """Where."""

    data: str = ""
    """A folder."""
    share: Share = 0.5
    """A share."""
    layers: Annotated[list[int], one_or_more(int)] = field(default_factory=list)
    """Layers."""
    mode: Literal["no", "fast"] = "no"
    """How."""
    on: bool = False
    """Whether."""


@dataclass
class Open:
    """Of one kind."""

    size: NotNegative = 2.0
    """A size, see :func:`~a.b` and ``c``."""

    def __post_init__(self) -> None:
        if self.size == 13:
            raise FormatError("size is 13")


@dataclass
class All:
    """All there is."""

    own: Any
    """Left open."""
    kind: str = "a"
    """Which."""
    data: Where = field(default_factory=Where)
    parts: tuple[Part, ...] = ()
    """Parts."""
    options: dict[str, Any] = field(default_factory=dict)
    """Free."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "r.yaml").write_text("kind: b\ndata: 0012\nsize: 3\nparts:\n  - {steps: 3}\n  - steps: 4\n")
    return tmp_path / "r.yaml"


def made(file: Path, *overrides: str) -> All:
    return build(All, read([str(file)], overrides), own=Open)


def test_groups_are_filled_from_flat_keys_that_may_have_a_groups_name(file: Path) -> None:
    found = made(file, "parts.1.rate=1e-3", "layers=6", "mode=no", "on=true", "options={a: 1e3}")
    assert found == All(Open(3.0), "b", Where("0012", 0.5, [6], "no", True), (Part(3), Part(4, 1e-3)), {"a": 1000.0})
    assert isinstance(found.own.size, float)
    assert build_from(All, flat(found), "x", own=Open) == found


def test_text_is_taken_as_it_is_written(file: Path) -> None:
    for text in ("0012", "1e5", "yes", "12:30", "2024-01-02", "1_000", "0x10", "~/a", "null_", ".5"):
        assert made(file, f"data={text}").data.data == text
    assert made(file, "data=").data.data == ""
    assert made(file, "layers=").data.layers == []


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("shre=1", r"command line: unknown key 'shre': did you mean share\?"),
        ("qqqq=1", "command line: unknown key 'qqqq': there are kind, parts, options, data, share"),
        ("parts.0.step=1", "command line: unknown key 'parts.0.step': did you mean steps"),
        ("share=1.5", "command line: share is 1.5: give a number from 0 to 1"),
        ("share=x", "share is 'x': give a number from 0 to 1"),
        ("share='0.5'", "share is '0.5': give a number"),
        ("share=.nan", "share is .nan: give a number from 0 to 1"),
        ("share=true", "share is true: give a number"),
        ("share=null", "share is null: give a number"),
        ("size=-1", "size is -1: give a number of 0 or more"),
        ("layers=[6, x]", "layers.1 is 'x': give a whole number"),
        ("layers=1.0", "layers is 1.0: give a whole number, or a list of such"),
        ("mode=slow", "mode is 'slow': give no or fast"),
        ("on=1", "on is 1: give true or false"),
        ("data=[a]", r"data is \['a'\]: give text"),
        ("data=null", "data is null: give text"),
        ("options=3", "options is 3: give key: value pairs"),
        ("parts=3", "parts is 3: give a list, each key: value pairs of steps, rate"),
        ("parts=[3]", "parts.0 is 3: give key: value pairs of steps, rate"),
        ("parts=[{}]", "parts.0 has no steps: give steps: a whole number of 1 or more"),
        ("parts.0.rate=0", "parts.0.rate is 0: give a number above 0"),
        ("parts.0.rate=9", "r.yaml, line 5: parts.0: rate is more than steps"),
        ("parts.7.rate=9", "command line: parts.7.rate: there is no parts.7 to set it in"),
        ("kind.x=9", "kind.x: kind has nothing inside"),
        ("size=13", "r.yaml: size is 13"),
        ("share", "'share' is not key=value"),
        ("=3", "'=3' is not key=value"),
        ("share=[", r"command line: share=\[ is not YAML"),
    ],
)
def test_a_refusal_names_place_key_given_and_allowed(file: Path, override: str, message: str) -> None:
    with pytest.raises(FormatError, match=message) as error:
        made(file, override)
    assert "\n" not in str(error.value)


def test_what_is_wrong_in_a_file_is_named_with_its_line(file: Path) -> None:
    file.write_text(file.read_text() + "share: 7\n")
    with pytest.raises(FormatError, match=r"r\.yaml, line 7: share is 7: give a number from 0 to 1"):
        made(file)
    assert made(file, "share=0.25").data.share == 0.25


def test_later_files_over_earlier_ones(file: Path, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("parts: [{steps: 9}]\n")
    values = read([str(file), str(tmp_path / "s.yaml")], [])
    assert build(All, values, own=Open).parts == (Part(9),)
    assert values.source(("parts", 1, "steps")).file == str(tmp_path / "s.yaml")


def test_explained(file: Path) -> None:
    settings = explain(All, read([str(file)], ["parts.1.rate=2", "share=1"]), own=Open)
    found = {s.key: (s.value, str(s.source or "default"), s.meaning, s.allowed) for s in settings}
    assert found["kind"] == ("b", f"{file}, line 1", "Which.", "text")
    assert found["data"] == ("0012", f"{file}, line 2", "A folder.", "text")
    assert found["share"] == (1.0, "command line", "A share.", "a number from 0 to 1")
    assert found["on"] == (False, "default", "Whether.", "true or false")
    assert found["size"] == (3.0, f"{file}, line 3", "A size, see a.b and c.", "a number of 0 or more")
    assert found["parts.0.rate"] == (1.0, "default", "How fast.", "a number above 0")
    assert found["parts.1.rate"] == (2.0, "command line", "How fast.", "a number above 0")
    assert found["parts.1.steps"][1] == f"{file}, line 6"
    assert [s.group for s in settings if s.key == "parts.1.steps"] == ["parts.1: A part."]
    assert len(found) == len(settings) == 12
