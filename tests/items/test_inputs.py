"""Every kind of corpus: what its items are, and that each opens to exactly its audio."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from codectok.errors import AudioError, CodectokError, FormatError
from codectok.items.corpus import read_corpus
from codectok.items.item import Item
from codectok.items.readers.braces import expand_braces
from codectok.items.sources import describe, open_item

RATE = 16000


def clip(seed: int, seconds: float = 0.25, channels: int = 1) -> np.ndarray:
    x = np.random.default_rng(seed).uniform(-0.5, 0.5, (int(seconds * RATE), channels))
    return (np.round(x * 32767) / 32768).astype(np.float32)


def encoded(samples: np.ndarray, format: str = "FLAC") -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, RATE, "PCM_16", format=format)
    return out.getvalue()


def samples_of(item: Item) -> np.ndarray:
    with open_item(item) as reader:
        assert reader.rate == RATE
        return np.concatenate(list(reader.blocks(0.1)))


def items(path: Path) -> list[Item]:
    read_corpus(path).scan()
    return list(read_corpus(path))


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


# -- Kaldi


def test_kaldi_segments(tmp_path: Path) -> None:
    (tmp_path / "wav.scp").write_text("rec2 /d/b.wav\nrec1 a.wav\n")
    (tmp_path / "segments").write_text("u1 rec1 0.1 0.3\nu2 rec2 1.50 -1\nu3 rec1 0.3 2.75 1\n")
    a = str(tmp_path / "a.wav")
    expected = [
        Item("u1", a, 0.1, 0.2),  # not 0.19999999999999998
        Item("u2", "/d/b.wav", 1.5, None),
        Item("u3", a, 0.3, 2.45, "channel:1"),
    ]
    assert items(tmp_path) == items(tmp_path / "wav.scp") == expected


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        ("u rec9 0 1", r"line 2 .*segments names the recording 'rec9', which .*wav\.scp does not list"),
        ("u rec1 2 1", "line 2 .* has the times 2 1"),
        ("u rec1 nan 1", "has the times"),
        ("u rec1 0", "must be an utterance"),
    ],
)
def test_bad_segments(tmp_path: Path, segment: str, message: str) -> None:
    (tmp_path / "wav.scp").write_text("rec1 a.wav\n")
    (tmp_path / "segments").write_text(f"ok rec1 0 1\n{segment}\n")
    with pytest.raises(FormatError, match=message):
        items(tmp_path)


def test_pipes_are_refused_with_segments_too(tmp_path: Path) -> None:
    (tmp_path / "wav.scp").write_text("rec1 touch /tmp/x |\n")
    (tmp_path / "segments").write_text("u rec1 0 1\n")
    with pytest.raises(FormatError, match=r"line 1 .* is a pipe"):
        items(tmp_path)
    (tmp_path / "wav.scp").write_text("rec1 a.wav\nrec1 b.wav\n")
    with pytest.raises(FormatError, match="'rec1' comes twice"):
        items(tmp_path)


# -- tables


def test_gzipped_manifests(tmp_path: Path) -> None:
    for name, text, labels in [
        ("m.jsonl.gz", '{"path": "a.wav", "sentence": "ä", "x": 1}\n', {"text": "ä", "x": 1}),
        ("l.txt.gz", "a.wav\n", {}),
        ("t.csv.gz", "path,x\na.wav,1\n", {"x": "1"}),
    ]:
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
        assert items(tmp_path / name) == [Item("a", str(tmp_path / "a.wav"), labels=labels)]
    (tmp_path / "l.txt.gz").write_bytes(gzip.compress(b"a.wav\n" * 50)[:-10])
    with pytest.raises(FormatError, match=r"l\.txt\.gz is damaged"):
        items(tmp_path / "l.txt.gz")


def test_a_row_with_too_many_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,text\na, b.wav,hello\n")
    with pytest.raises(FormatError, match=r"line 2 .* more columns than the header"):
        items(tmp_path / "t.csv")


# -- tar


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    for n in range(3):
        members = {"__skip/.hidden.flac": b"x", f"spk{n}/u.json": b"{}"}
        members |= {f"spk{n}/u.flac": encoded(clip(n)), f"v{n}.opus.wav": encoded(clip(10 + n), "WAV")}
        write_tar(tmp_path / f"s/{n:03d}.tar", members)
    return tmp_path / "s"


def test_tar_shards(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = items(shards / "001.tar")
    assert [i.id for i in one] == ["spk1/u", "v1"]
    assert describe(one[0]) == f"{shards / '001.tar'}:spk1/u.flac"
    np.testing.assert_array_equal(samples_of(one[0]), clip(1)[:, 0])
    np.testing.assert_array_equal(samples_of(one[1]), clip(11)[:, 0])
    everything = items(shards)
    assert [i.id for i in everything] == ["spk0/u", "v0", "spk1/u", "v1", "spk2/u", "v2"]
    assert items(shards / "{000..002}.tar") == items(shards / "*.tar") == items(shards / "00[012].tar") == everything
    (shards.parent / "list.txt").write_text("s/{000,001}.tar\ns/002.tar\n")
    assert items(shards.parent / "list.txt") == everything
    monkeypatch.chdir(shards.parent)
    assert items(Path("s/001.tar")) == one
    assert items(Path("s/{001..001}.tar")) == one


@pytest.mark.parametrize("format", ["MP3", "OGG", "FLAC", "WAV"])
def test_a_member_is_read_as_the_same_file_is(tmp_path: Path, format: str) -> None:
    soundfile.write(tmp_path / "a.bin", clip(5, 3.0), RATE, format=format)
    data = (tmp_path / "a.bin").read_bytes()
    (item,) = items(write_tar(tmp_path / "a.tar", {"before.txt": b"x" * 700, "a.mp3": data, "after.txt": b"y" * 70}))
    alone, there = Item("a", str(tmp_path / "a.bin")), Item("a", item.path, member=item.member)
    np.testing.assert_array_equal(samples_of(alone), samples_of(there))
    with open_item(alone) as one, open_item(there) as other:
        assert (one.num_samples, one._slack) == (other.num_samples, other._slack)
        parts = [np.concatenate(list(reader.blocks(0.2, 9000, 30000))) for reader in (one, other)]
    np.testing.assert_array_equal(*parts)


def test_a_tar_member_is_read_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tar(
        tmp_path / "a.tar", {"big.bin": bytes(5_000_000), "u.wav": encoded(clip(0, 4), "WAV"), "z.bin": bytes(10**6)}
    )
    (item,) = items(tmp_path / "a.tar")
    from codectok.items import slices

    read: list[int] = []
    original = slices._Slice.readinto
    monkeypatch.setattr(slices._Slice, "readinto", lambda self, b: read.append(len(b)) or original(self, b))
    with open_item(item) as reader:
        assert len(next(iter(reader.blocks(1.0, start=RATE)))) == RATE
    assert sum(read) < 400_000


def test_damaged_and_compressed_tars(shards: Path) -> None:
    data = (shards / "000.tar").read_bytes()
    (shards / "000.tar").write_bytes(data[:3000])
    with pytest.raises(FormatError, match=r"000\.tar is not a whole"):
        items(shards)
    with tarfile.open(shards / "c.tar", "w:gz"):
        pass
    with pytest.raises(FormatError, match=r"c\.tar is not a whole tar file, or compressed"):
        items(shards / "c.tar")
    (shards / "d.tar.gz").write_bytes(b"")
    with pytest.raises(FormatError, match=r"compressed, .*unpack"):
        items(shards / "d.tar.gz")
    with pytest.raises(FormatError, match="is no file"):
        items(shards / "{007..008}.tar")
    with pytest.raises(FormatError, match="no file matches"):
        items(shards / "x*.tar")


def test_a_member_cut_off_after_the_scan(shards: Path) -> None:
    item = items(shards / "001.tar")[1]
    (shards / "001.tar").write_bytes((shards / "001.tar").read_bytes()[:3000])
    with pytest.raises(AudioError, match=r"001\.tar:v1\.opus\.wav is cut off"):
        open_item(item)


# -- parquet and arrow


def table(rows: list[dict]):
    pa = pytest.importorskip("pyarrow")
    audio = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields = {"audio": audio, "text": pa.string(), "id": pa.string()}
    return pa.Table.from_pylist(rows, pa.schema([(k, fields[k]) for k in rows[0]]))


def test_parquet_with_embedded_audio(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    soundfile.write(tmp_path / "beside.wav", clip(99), RATE)
    rows = [{"text": "x", "audio": {"bytes": encoded(clip(n)), "path": f"spk/c{n}.flac"}} for n in range(7)]
    rows[5]["audio"] = {"bytes": None, "path": "beside.wav"}
    pq.write_table(table(rows), tmp_path / "train-0.parquet", row_group_size=3)
    found = items(tmp_path / "train-0.parquet")
    assert [i.id for i in found] == [*(f"spk/c{n}" for n in range(5)), "beside", "spk/c6"]
    for n in (6, 0, 4, 1):  # any order
        np.testing.assert_array_equal(samples_of(found[n]), clip(n)[:, 0])
    np.testing.assert_array_equal(samples_of(found[5]), clip(99)[:, 0])
    assert describe(found[4]).endswith("train-0.parquet:row 1 of row group 1")

    for row in rows:
        row["audio"] = {"bytes": row["audio"]["bytes"], "path": None}
    (tmp_path / "d/data").mkdir(parents=True)
    pq.write_table(table(rows), tmp_path / "d/data/test-0.parquet")
    pq.write_table(table([{"id": "mine", "audio": rows[0]["audio"]}]), tmp_path / "d/data/test-1.parquet")
    found = items(tmp_path / "d")
    assert [i.id for i in found] == [*(f"data/test-0/{n}" for n in range(7)), "mine"]
    with pytest.raises(AudioError, match=r"test-0\.parquet:row 5 of row group 0 holds no audio"):
        open_item(found[5])


def test_parquet_of_bytes_alone_and_of_paths(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"audio": [encoded(clip(1)), encoded(clip(2))]}), tmp_path / "b.parquet")
    found = items(tmp_path / "b.parquet")
    assert [i.id for i in found] == ["b/0", "b/1"]
    np.testing.assert_array_equal(samples_of(found[1]), clip(2)[:, 0])
    pq.write_table(pa.table({"path": ["x/a.wav"], "offset": [1.5], "duration": [2.0]}), tmp_path / "p.parquet")
    assert items(tmp_path / "p.parquet") == [Item("x/a", str(tmp_path / "x/a.wav"), 1.5, 2.0)]
    pq.write_table(pa.table({"n": [1]}), tmp_path / "n.parquet")
    with pytest.raises(FormatError, match=r"no column of audio \(its columns: n\)"):
        items(tmp_path / "n.parquet")
    (tmp_path / "z.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(FormatError, match=r"z\.parquet cannot be read as parquet"):
        items(tmp_path / "z.parquet")


def test_the_cache_of_row_groups_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(
        pa.table({"audio": [encoded(clip(n), "WAV") for n in range(6)]}), tmp_path / "b.parquet", row_group_size=1
    )
    from codectok.items import rows

    cache = rows._Cache(2 * 8100)
    monkeypatch.setattr(rows, "_groups", cache)
    found = items(tmp_path / "b.parquet")
    for n in (0, 1, 2, 3, 4, 5, 0):
        np.testing.assert_array_equal(samples_of(found[n]), clip(n)[:, 0])
        assert cache._held <= 2 * 8100
    assert [key[1] for key in cache._values] == [5, 0]


def test_hugging_face_folders(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"audio": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}, "id": datasets.Value("int64")}
    )
    rows = [{"audio": {"bytes": encoded(clip(n)), "path": None}, "id": n} for n in range(5)]
    one = datasets.Dataset.from_list(rows, features=features)
    one.save_to_disk(str(tmp_path / "one"), num_shards=2)
    found = items(tmp_path / "one")
    assert [i.id for i in found] == ["0", "1", "2", "3", "4"]
    for n in (4, 0, 3):
        np.testing.assert_array_equal(samples_of(found[n]), clip(n)[:, 0])
    datasets.DatasetDict({"train": one.select(range(3)), "test": one.select([3, 4])}).save_to_disk(
        str(tmp_path / "two")
    )
    assert [i.id for i in items(tmp_path / "two")] == ["0", "1", "2", "3", "4"]
    (tmp_path / "two/train/state.json").write_text("{")
    with pytest.raises(FormatError, match="damaged dataset folder"):
        items(tmp_path / "two")


def test_a_folder_of_audio_stays_one(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", clip(0), RATE)
    (tmp_path / "index.parquet").write_bytes(b"")
    assert [i.id for i in items(tmp_path)] == ["a"]
    (tmp_path / "a.wav").unlink()
    write_tar(tmp_path / "b.tar", {})
    with pytest.raises(FormatError, match=r"several kinds \(webdataset, parquet\)"):
        items(tmp_path)
    (tmp_path / "index.parquet").unlink()
    with pytest.raises(CodectokError, match="no audio files"):
        items(tmp_path)


# -- lhotse


def test_lhotse_manifests(tmp_path: Path) -> None:
    lhotse = pytest.importorskip("lhotse")
    stereo = clip(3, 1.0, 2)
    soundfile.write(tmp_path / "st.wav", stereo, RATE, "PCM_16")
    recording = lhotse.Recording.from_file(tmp_path / "st.wav", recording_id="r1")
    whole = lhotse.MonoCut("c0", 0, recording.duration, 0, recording=recording)
    part = lhotse.MonoCut("c1", 0.125, 0.3, 1, recording=recording)
    lhotse.RecordingSet.from_recordings([recording]).to_file(tmp_path / "r.jsonl.gz")
    lhotse.CutSet.from_cuts([whole, part]).to_file(tmp_path / "c.jsonl")
    path = str(tmp_path / "st.wav")
    assert items(tmp_path / "r.jsonl.gz") == [Item("r1", path)]
    found = items(tmp_path / "c.jsonl")
    assert found == [Item("c0", path, member="channel:0"), Item("c1", path, 0.125, 0.3, "channel:1")]
    assert describe(found[1]) == f"{path}:channel 1"
    np.testing.assert_array_equal(samples_of(found[1]), stereo[:, 1])
    from codectok.items.clips import read_clip

    np.testing.assert_allclose(read_clip(found[1], RATE), part.load_audio()[0], atol=1e-7)
    np.testing.assert_allclose(read_clip(found[0], RATE), whole.load_audio()[0], atol=1e-7)

    bad = {
        "is a MixedCut": whole.append(part),
        r"changes its audio \(Speed\)": part.perturb_speed(1.1),
        "is a PaddingCut": lhotse.cut.PaddingCut("p", 1.0, RATE, -100, num_samples=RATE),
    }
    for message, cut in bad.items():
        lhotse.CutSet.from_cuts([whole, cut]).to_file(tmp_path / "bad.jsonl")
        with pytest.raises(FormatError, match=f"line 2 .*{message}"):
            items(tmp_path / "bad.jsonl")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sources": [{"type": "command", "channels": [0], "source": "cat x"}]}, "type command, and codectok runs no"),
        ({"sources": [{"type": "url", "channels": [0], "source": "http://x"}]}, "type url, and only type file"),
        (
            {
                "sources": [
                    {"type": "file", "channels": [0], "source": "a"},
                    {"type": "file", "channels": [1], "source": "b"},
                ]
            },
            "has 2 sources",
        ),
        ({"sources": None}, "is not a cut or recording"),
    ],
)
def test_lhotse_sources(tmp_path: Path, change: dict, message: str) -> None:
    (tmp_path / "r.jsonl").write_text(json.dumps({"id": "r", "sampling_rate": 16000, "duration": 1.0} | change) + "\n")
    with pytest.raises(FormatError, match=f"line 1 .*{message}"):
        items(tmp_path / "r.jsonl")


# -- members in manifests


def test_members_can_stand_in_a_manifest(shards: Path) -> None:
    member = items(shards / "001.tar")[0].member
    lines = [{"id": "a", "path": "001.tar", "member": member, "offset": 0.1}, {"path": "b.wav", "member": "of a club"}]
    (shards / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = items(shards / "m.jsonl")
    assert found == [
        Item("a", str(shards / "001.tar"), 0.1, None, member),
        Item("b", str(shards / "b.wav"), labels={"member": "of a club"}),
    ]
    with pytest.raises(AudioError, match="make the manifest again"):
        open_item(Item("x", "a.wav", member="zip:1"))


def test_a_channel_that_is_not_there(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", clip(0), RATE)
    with pytest.raises(AudioError, match="has 1 channels, and not channel 1"):
        open_item(Item("a", str(tmp_path / "a.wav"), member="channel:1"))


def test_braces_are_written_out_as_the_shell_does() -> None:
    assert expand_braces("a{08..11}.tar") == ["a08.tar", "a09.tar", "a10.tar", "a11.tar"]
    assert expand_braces("{2..0,7}{x,y}") == [f"{n}{c}" for n in (2, 1, 0, 7) for c in "xy"]
    assert expand_braces("plain") == ["plain"]
    assert expand_braces("{a,{b,c}}") == ["a", "b", "c"]
    assert expand_braces("a{1}b{") == ["a{1}b{"]
    for many in ("{0..99999999999}.tar", "{0..9999}{0..9999}.tar"):
        with pytest.raises(FormatError, match="stands for more than 1,000,000 files: give a shorter range"):
            expand_braces(many)
