"""What can be wrong with a corpus on disk: each is one clear line, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from codectok.errors import AudioError, FormatError
from codectok.items.corpus import read_corpus
from codectok.items.item import Item
from codectok.items.sources import describe, open_item

DEPTH = 1010
"""Of folders: deeper than Python recurses."""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="names and links as POSIX has them")


def tone(path: Path | str, format: str = "WAV") -> None:
    soundfile.write(os.fsencode(path), np.sin(np.arange(8000) / 9) * 0.5, 16000, format=format)


def items(path: Path) -> list[Item]:
    read_corpus(path).scan()
    return list(read_corpus(path))


def fault_of(item: Item) -> str:
    """The message that opening and reading an item ends with; it is one line of valid text."""
    with pytest.raises(AudioError) as caught, open_item(item) as reader:
        list(reader.blocks())
    message = str(caught.value)
    message.encode("utf-8")
    assert "\n" not in message
    assert describe(item) in message
    return message


def test_a_name_that_is_not_utf8_is_an_item_like_others(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/sp\xe9aker"
    os.mkdir(folder)
    tone(os.fsdecode(folder + b"/caf\xe9.wav"))
    tone(os.fsdecode(folder + "/café.wav".encode()))
    found = items(tmp_path)
    assert {i.id for i in found} == {r"sp\xe9aker/café", r"sp\xe9aker/caf\xe9"}
    for item in found:
        with open_item(item) as reader:
            assert reader.num_samples == 8000
        describe(item).encode()


def test_an_unreadable_file_with_such_a_name_has_a_printable_message(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/b\xff\n.wav", "wb"):
        pass
    (item,) = items(tmp_path)
    assert item.id == r"b\xff\x0a"
    assert r"b\xff\x0a.wav is an empty file" in fault_of(item)


def test_two_names_that_become_one_id_are_refused(tmp_path: Path) -> None:
    tone(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    tone(tmp_path / r"caf\xe9.wav")
    with pytest.raises(FormatError, match="comes twice"):
        items(tmp_path)


@pytest.mark.parametrize(("name", "format"), [("a.wav", "FLAC"), ("b.flac", "WAV"), ("c.ogg", "MP3"), ("d.mp3", "OGG")])
def test_the_content_decides_not_the_name(tmp_path: Path, name: str, format: str) -> None:
    tone(tmp_path / name, format)
    (item,) = items(tmp_path)
    with open_item(item) as reader:
        assert sum(len(b) for b in reader.blocks()) == pytest.approx(8000, abs=2400)


def test_text_and_nothing_under_an_audio_name(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"<html>404</html>" * 50)
    (tmp_path / "b.wav").touch()
    (tmp_path / "c.wav").mkdir()
    (tmp_path / "c.wav/d.flac").write_bytes(b"fLaC")
    a, b, c = items(tmp_path)
    assert "cannot be read as audio" in fault_of(a)
    assert "is an empty file" in fault_of(b)
    assert c.id == "c.wav/d"
    assert "cannot be read as audio" in fault_of(c)


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tone(tmp_path / "a.wav")
    (item,) = items(tmp_path)

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    # root may read everything, so the system's answer is played.
    monkeypatch.setattr("codectok.audio.decoder._Forward", refused)
    assert "cannot be opened (Permission denied): allow reading it" in fault_of(item)


def test_a_folder_that_cannot_be_listed_is_an_item_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tone(tmp_path / "a.wav")
    (tmp_path / "locked").mkdir()
    tone(tmp_path / "locked.wav")
    scandir = os.scandir

    def refusing(path: str | Path = "."):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = items(tmp_path)
    assert [i.id for i in found] == ["a", "locked/", "locked"]
    assert "the folder cannot be listed: Permission denied; allow reading it" in fault_of(found[1])


def test_links(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    (corpus / "x/y").mkdir(parents=True)
    tone(corpus / "x/y/a.wav")
    for name, target in {
        "self": "self",
        "self.wav": "self.wav",
        "up": "..",
        "x/y/top": "../..",
        "gone.wav": "nowhere.wav",
        "gone": "/no/such/folder",
        "README": "x/y",
        "notes.txt": "nowhere",
    }.items():
        os.symlink(target, corpus / name)
    tone(tmp_path / "outside.wav")
    found = {i.id: i for i in items(corpus)}
    # "up" holds the corpus itself, which ends there: a folder that contains it.
    assert set(found) == {"README/a", "gone/", "gone", "self/", "self", "up/outside", "x/y/a"}
    assert "is a link to nothing" in fault_of(found["gone"])
    assert "is a link to nothing" in fault_of(found["gone/"])
    assert "symbolic links" in fault_of(found["self"])


def test_pipes_and_devices_never_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.wav")
    os.symlink("/dev/zero", tmp_path / "b.wav")
    for item in items(tmp_path):
        assert "not a file but a pipe, socket or device" in fault_of(item)
    os.mkfifo(tmp_path / "m.jsonl")
    with pytest.raises(FormatError, match="a corpus is read more than once"):
        read_corpus(tmp_path / "m.jsonl")


def test_very_deep_folders(tmp_path: Path) -> None:
    tone(tmp_path / "a.wav")
    (tmp_path / "deep").mkdir()
    at = os.open(tmp_path / "deep", os.O_RDONLY)
    for _ in range(DEPTH):  # one inside the other by handle: by path, each costs its depth
        os.mkdir("d", dir_fd=at)
        inner = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.rename(tmp_path / "a.wav", "a.wav", dst_dir_fd=at)
    os.close(at)
    try:
        (item,) = items(tmp_path / "deep")
        assert item.id == "d/" * DEPTH + "a"
        with open_item(item) as reader:  # libsndfile itself opens no path of 1024 bytes
            assert sum(len(b) for b in reader.blocks()) == 8000
    finally:
        subprocess.run(["rm", "-r", tmp_path / "deep"], check=True)  # shutil.rmtree would recurse


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"path": "a.wav", "id": "' + "x" * 5000 + '"}', "an id of 5000 characters .* shorten"),
        ('{"path": "' + "y" * 10**6 + '.wav"}', "an id of 1000000 characters"),
        ('{"path": "a\\u0000b.wav"}', "zero byte"),
        ('{"path": "a.wav", "id": "\\ud800"}', "ids are one line"),
        ('{"path": "a.wav", "id": "a\\u2028b"}', "ids are one line"),
        ('{"path": "a.wav", "offset": 1' + "0" * 400 + "}", "expected seconds"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_bad_lines(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "m.jsonl").write_text('{"path": "ok.wav"}\n' + line + "\n")
    with pytest.raises(FormatError, match=f"line 2 .*{message}") as caught:
        items(tmp_path / "m.jsonl")
    assert len(str(caught.value)) < 600


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    assert "too long" in fault_of(Item("a", str(tmp_path / ("z" * 300 + ".wav"))))
