from __future__ import annotations

import os
from pathlib import Path

import pytest

from codectok.errors import CodectokError, FormatError
from codectok.items.corpus import read_corpus
from codectok.items.item import Item


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def items(path: Path) -> list[Item]:
    corpus = read_corpus(path)
    corpus.scan()
    return list(corpus)


def test_folder_is_searched_in_the_order_of_path_parts(tmp_path: Path) -> None:
    for name in ("b.wav", "a-b/x.flac", "a/z.OGG", "a/y.wav", "a/note.txt", "a/.hidden.wav", "a/._y.wav", ".git/k.wav"):
        write(tmp_path / name, "")
    found = items(tmp_path)
    assert [i.id for i in found] == ["a/y", "a/z", "a-b/x", "b"]
    assert found[1].path == str(tmp_path / "a/z.OGG")
    assert found[0].whole


def test_folder_follows_links_but_not_in_circles(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere/x.wav", "")
    write(tmp_path / "corpus/a.wav", "")
    os.symlink(tmp_path / "elsewhere", tmp_path / "corpus/link")
    os.symlink(tmp_path / "corpus", tmp_path / "corpus/self")
    assert [i.id for i in items(tmp_path / "corpus")] == ["a", "link/x"]


def test_same_name_with_two_suffixes_is_refused(tmp_path: Path) -> None:
    for name in ("a.wav", "a.flac", "b.wav"):
        write(tmp_path / name, "")
    with pytest.raises(FormatError, match=r"'a' comes twice .*a\.flac and .*a\.wav"):
        read_corpus(tmp_path).scan()


def test_list_file(tmp_path: Path) -> None:
    path = write(tmp_path / "list.txt", "\ufeffsub dir/a b.wav\r\n\r\n/data/c.flac\n../up/d.wav\n")
    found = items(path)
    above = str(tmp_path.parent / "up/d")
    assert [i.id for i in found] == ["sub dir/a b", "data/c", above.lstrip("/")]
    assert found[0].path == str(tmp_path / "sub dir/a b.wav")


def test_suffix_not_characters_are_cut(tmp_path: Path) -> None:
    # str.rstrip(".flac") would give "103-"
    assert items(write(tmp_path / "l.txt", "103-cal.flac\n"))[0].id == "103-cal"


def test_fairseq_paths_are_relative_to_the_root_line(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    path = write(tmp_path / "m/train.tsv", f"{tmp_path / 'audio'}\nx/a.flac\t16000\ny/b.flac\t8000\n")
    assert items(path) == [
        Item("x/a", str(tmp_path / "audio/x/a.flac")),
        Item("y/b", str(tmp_path / "audio/y/b.flac")),
    ]
    with pytest.raises(FormatError, match="first line"):
        read_corpus(write(tmp_path / "gone.tsv", "/no/such/folder\na.flac\t1\n"))
    with pytest.raises(FormatError, match="line 2"):
        items(write(tmp_path / "bad.tsv", f"{tmp_path}\na.flac\tmany\n"))


def test_table_with_header(tmp_path: Path) -> None:
    csv = write(tmp_path / "t.csv", 'ID,duration,wav,offset\nu1,1.5,"a, b.wav",\nu2,2,c.wav,0.25\n')
    assert items(csv) == [
        Item("u1", str(tmp_path / "a, b.wav"), None, 1.5),
        Item("u2", str(tmp_path / "c.wav"), 0.25, 2.0),
    ]
    tsv = write(tmp_path / "t.tsv", 'path\tsentence\nclips/a.mp3\tsaid "so\n')
    assert items(tsv) == [Item("clips/a", str(tmp_path / "clips/a.mp3"), labels={"text": 'said "so'})]


@pytest.mark.parametrize("key", ["path", "audio", "audio_filepath", "wav"])
def test_jsonl(tmp_path: Path, key: str) -> None:
    path = write(tmp_path / "m.jsonl", f'{{"{key}": "a.wav", "offset": 1.0, "duration": 2, "text": "ä"}}\n')
    assert items(path) == [Item("a", str(tmp_path / "a.wav"), 1.0, 2.0, labels={"text": "ä"})]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1 .* is not JSON"),
        ("[]", "must be a JSON object"),
        ('{"id": "a"}', "has no audio file"),
        ('{"path": {"bytes": ""}}', "has no audio file"),
        ('{"path": "a.wav", "offset": -1}', "offset -1"),
        ('{"path": "a.wav", "duration": "long"}', "duration 'long'"),
        ('{"path": "a.wav", "duration": 0}', "duration 0"),
        ('{"path": "a.wav", "id": "two\\nlines"}', "control characters"),
    ],
)
def test_bad_json_lines(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        items(write(tmp_path / "m.jsonl", line + "\n"))


def test_wav_scp(tmp_path: Path) -> None:
    assert items(write(tmp_path / "wav.scp", "utt-1 /data/a.wav\nutt-2\tb c.wav\n")) == [
        Item("utt-1", "/data/a.wav"),
        Item("utt-2", str(tmp_path / "b c.wav")),
    ]
    for line in ("u sox a.wav -t wav - |", "u | cat a.wav", "u -"):
        with pytest.raises(FormatError, match=r"line 1 .* is a pipe, and codectok runs no commands"):
            items(write(tmp_path / "wav.scp", line + "\n"))
    with pytest.raises(FormatError, match="archive"):
        items(write(tmp_path / "wav.scp", "u raw.ark:14\n"))
    with pytest.raises(FormatError, match="an id and a path"):
        items(write(tmp_path / "wav.scp", "u\n"))


def test_missing_empty_and_unknown(tmp_path: Path) -> None:
    with pytest.raises(CodectokError, match="there is no corpus"):
        read_corpus(tmp_path / "none")
    with pytest.raises(CodectokError, match="no audio files"):
        read_corpus(tmp_path).scan()
    with pytest.raises(CodectokError, match="lists no items"):
        read_corpus(write(tmp_path / "e.txt", "\n")).scan()
    with pytest.raises(FormatError, match="not a known kind"):
        read_corpus(write(tmp_path / "x.docx", ""))
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9.wav\n")
    with pytest.raises(FormatError, match="UTF-8"):
        read_corpus(tmp_path / "latin.txt").scan()


def test_duplicate_ids_name_both_files(tmp_path: Path) -> None:
    lines = "".join(f'{{"id": "u{i % 3}", "path": "{i}.wav"}}\n' for i in range(4))
    with pytest.raises(FormatError, match=r"'u0' comes twice .*0\.wav and .*3\.wav"):
        read_corpus(write(tmp_path / "m.jsonl", lines)).scan()


def test_hash_follows_the_items_not_the_place(tmp_path: Path) -> None:
    text = '{"path": "a.wav"}\n{"path": "b.wav", "offset": 1}\n'
    here = read_corpus(write(tmp_path / "here/m.jsonl", text)).scan()
    there = read_corpus(write(tmp_path / "there/m.jsonl", text)).scan()
    other = read_corpus(write(tmp_path / "there/n.jsonl", text.replace("1}", "2}"))).scan()
    assert here == there != other
    assert here.num_items == 2
