"""What ``docs/architecture.md`` says of the house: its rooms, its picture, and the way through it."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import codectok
from codectok import __main__
from codectok.stops import handled
from codectok.testing import voice
from tests.import_graph import ROOT
from tests.test_imports import EDGES, ORDER

PAGE = (ROOT / "docs/architecture.md").read_text()


def test_every_room_has_its_line_in_the_order_of_imports() -> None:
    table = PAGE.partition("## The rooms")[2].partition("## A newcomer's path")[0]
    named = [
        n for line in table.splitlines() if line.startswith("| `") for n in re.findall(r"`(\w+)`", line.split("|")[1])
    ]
    top = [room.split(".")[1] for room in ORDER if any(m == room or m.startswith(f"{room}.") for m in EDGES)]
    assert named == list(dict.fromkeys(top))


def test_the_picture_is_what_the_imports_are() -> None:
    spec = importlib.util.spec_from_file_location("draw_rooms", ROOT / "docs/draw_rooms.py")
    assert spec is not None
    assert spec.loader is not None
    draw_rooms = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw_rooms)
    same = (ROOT / "docs/rooms.svg").read_text() == draw_rooms.drawn()
    assert same, "imports have changed: run python docs/draw_rooms.py"


def test_a_newcomers_path_is_the_one_that_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    promised = re.findall(r"^\d+\. `(\S+)`", PAGE, flags=re.M)
    codectok.write_audio(tmp_path / "a.wav", voice(4000, 16000), 16000)
    stacks: list[list[str]] = []

    def follow(frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or frame.f_code.co_qualname != "Codebook.search" or stacks:
            return
        files: list[str] = []
        at: FrameType | None = frame
        while at is not None:
            path = Path(at.f_code.co_filename)
            if path.is_relative_to(ROOT / "codectok"):
                files.append(str(path.relative_to(ROOT)))
            at = at.f_back
        stacks.append(files[::-1])

    words = ["encode", str(tmp_path / "a.wav"), "-o", str(tmp_path / "a.ctk"), "--tokenizer", "speech-1"]
    monkeypatch.setattr(sys, "argv", ["codectok", *words])
    monkeypatch.setattr(__main__, "handled", lambda last: handled())  # this process goes on
    sys.setprofile(follow)
    try:
        with pytest.raises(SystemExit) as end:
            __main__.run()
    finally:
        sys.setprofile(None)
    assert not end.value.code
    taken = [file for i, file in enumerate(stacks[0]) if i == 0 or file != stacks[0][i - 1]]
    assert taken == promised
    assert len(set(taken)) == len(taken), "the path goes back and forth"
