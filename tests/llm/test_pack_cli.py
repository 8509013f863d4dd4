"""``codectok llm pack``, from a store to what ``datasets`` reads."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner, Result

from codectok.cli.llm import llm
from codectok.errors import FormatError
from codectok.items.corpus import read_corpus
from codectok.llm.pack.code_rows import code_rows
from codectok.llm.pack.texts import read_texts
from codectok.llm.sequence.loss_labels import IGNORE
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.parse import parse
from codectok.store import Store, StoreInfo, StoreOptions, open_store
from codectok.store.convert import convert_store
from codectok.store.writer import StoreWriter

from .test_segments import CHAT
from .text_tokenizers import with_audio

SIZES = (64, 32, 32, 16)
PRINT = "f" * 32


def make_store(folder: Path, lengths: list[int], format: str = "parquet", seed: int = 0) -> Store:
    info = StoreInfo(format, "tiny", PRINT, 16000, Fraction(25, 2), SIZES, StoreOptions(), "0" * 64)
    rng = np.random.default_rng(seed)
    rows = [
        (
            f"book{i // 5}/u{i}",
            info.tokens(torch.from_numpy(np.stack([rng.integers(0, n, t) for n in SIZES])), t * 1280, None),
        )
        for i, t in enumerate(lengths)
    ]
    writer = StoreWriter(folder, info, 2)
    half = len(rows) // 2
    writer.write_shard(0, rows[:half], [], "a")
    writer.write_shard(1, rows[half:], [], "b")
    writer.close({"wall_seconds": 1.0})
    return open_store(folder)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pack")
    tokenizer, vocab = with_audio("byte-level", SIZES, tokenizer_fingerprint=PRINT)
    tokenizer.chat_template = CHAT
    (folder / "model").mkdir()
    tokenizer.save_pretrained(folder / "model")
    vocab.save(folder / "model")
    lengths = [3 + i * 7 % 20 for i in range(40)]
    make_store(folder / "store", lengths)
    make_store(folder / "target", [2] * 40, seed=1)
    lines = [f"book{i // 5}/u{i}.flac\tthe fox {i}\tder Fuchs {i} at 0.5s" for i in range(40)]
    (folder / "texts.tsv").write_text("path\ttranscript\ttranslation\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return folder


def run(home: Path, out: Path, *more: str, store: str = "store") -> Result:
    arguments = ["pack", str(home / store), "-o", str(out), "--model", str(home / "model"), "--json", *more]
    return CliRunner().invoke(llm, arguments)


def rows(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in sorted((out / "data").glob("*.parquet")):
        found += pq.read_table(path).to_pylist()
    return found


def sequences(out: Path) -> dict[str, tuple[list[int], list[int]]]:
    """Ids and labels of each item."""
    found: dict[str, Any] = {}
    for row in rows(out):
        table = np.array(row["sequence_ids"])
        for i, name in enumerate(row["ids"]):
            found[name] = tuple(np.array(row[c])[table == i].tolist() for c in ("input_ids", "labels"))
    return found


def test_asr_dataset_holds_every_utterance(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "asr"
    result = run(home, out, "--task", "asr", "--text", str(home / "texts.tsv"), "--length", "200")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    tokenizer, vocab = with_audio("byte-level", SIZES)
    store = open_store(home / "store")
    found = sequences(out)
    labels = 0
    assert set(found) == {key for key, _ in store}
    for i, (key, tokens) in enumerate(store):
        ids, marked = found[key]
        words = tokenizer.encode(f"the fox {i}", add_special_tokens=False)
        audio = vocab.ids(tokens.codes).T.reshape(-1).tolist()
        begin, end, cue = (vocab.markers[r] for r in ("begin", "end", "transcribe"))
        assert ids == [tokenizer.bos_token_id, cue, begin, *audio, end, *words, tokenizer.eos_token_id]
        assert marked == [IGNORE] * (len(ids) - len(words) - 1) + [*words, tokenizer.eos_token_id]
        labels += len(words) + 1
    assert report["labels"] == labels == report["weight"]
    assert report["tokens"] == sum(len(ids) for ids, _ in found.values())
    assert report["items"] == 40
    assert all(len(row["input_ids"]) <= 200 for row in rows(out))
    assert "loss_weights" not in rows(out)[0]
    about = json.loads((out / "pack.json").read_text())
    assert about["vocab_fingerprint"] == AudioVocab.load(home / "model").fingerprint
    assert (about["task"], about["pattern"]["pattern"], about["counts"]["labels"]) == ("asr", "flatten", labels)
    assert (
        json.loads(pq.read_schema(next((out / "data").iterdir())).metadata[b"codectok"])["tokenizer_fingerprint"]
        == PRINT
    )


def test_hugging_face_datasets_reads_it(home: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    out = tmp_path / "tts"
    weights = ("--codebook-weights", "4,2,1,1", "--length", "150")
    result = run(home, out, "--task", "tts", "--text", str(home / "texts.tsv"), *weights)
    assert result.exit_code == 0, result.output
    cache = str(tmp_path / "cache")
    read = datasets.load_dataset("parquet", data_files=str(out / "data" / "*.parquet"), cache_dir=cache, split="train")
    again = datasets.load_dataset(str(out), cache_dir=cache, split="train")
    assert read.num_rows == again.num_rows == json.loads(result.stdout)["rows"]
    assert read.features == again.features
    assert str(read.features["input_ids"].feature.dtype) == "int32"
    assert read[3] == again[3] == rows(out)[3]
    total = sum(sum(row["loss_weights"]) for row in read)
    assert total == pytest.approx(json.loads(result.stdout)["weight"])
    labelled = sum(label != IGNORE for row in read for label in row["labels"])
    assert total == pytest.approx(labelled)  # audio weights have a mean of 1 a frame


def test_same_bytes_each_time_and_for_every_store_format(home: Path, tmp_path: Path) -> None:
    make_store(tmp_path / "jsonl", [3 + i * 7 % 20 for i in range(40)], "jsonl")
    digests = set()
    for i, store in enumerate((home / "store", home / "store", tmp_path / "jsonl")):
        out = tmp_path / f"out{i}"
        assert run(Path("/"), out, "--task", "speech", "--model", str(home / "model"), store=str(store)).exit_code == 0
        files = sorted(p for p in out.rglob("*") if p.is_file())
        assert len(files) == 5
        digests.add(hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest())
    assert len(digests) == 1


def test_too_long_and_textless_are_listed(home: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.jsonl"
    known = [i for i in range(40) if i % 10]
    texts.write_text("".join(json.dumps({"id": f"book{i // 5}/u{i}", "text": "fox"}) + "\n" for i in known))
    out = tmp_path / "asr"
    result = run(home, out, "--text", str(texts), "--length", "80")
    assert result.exit_code == 1
    listed = [json.loads(line) for line in (out / "dropped.jsonl").read_text().splitlines()]
    report = json.loads(result.stdout)
    assert report["items"] + len(listed) == 40
    assert sum(report["dropped"].values()) == len(listed)
    assert {entry["id"] for entry in listed if entry["reason"] == "no text"} == {
        f"book{i // 5}/u{i}" for i in range(0, 40, 10)
    }
    assert report["dropped"]["the sequence has N tokens, a row N"] > 0
    assert not set(sequences(out)) & {entry["id"] for entry in listed}
    result = run(home, tmp_path / "none", "--text", str(texts), "--length", "5")
    assert (result.exit_code, (tmp_path / "none").exists()) == (2, False)
    assert "nothing to pack: 40 items" in result.stderr


def test_cutting_fills_rows_and_keeps_frames(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "cut"
    result = run(home, out, "--task", "speech", "--cut", "--length", "50", "--window", "1000")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["fill"] > 0.9
    assert report["cut"] > 10
    vocab = AudioVocab.load(home / "model")
    frames = 0
    for row in rows(out):
        table = np.array(row["sequence_ids"])
        for i in range(table[-1] + 1):
            held = np.array(row["input_ids"])[table == i]
            _, read = parse(vocab, held)
            assert read.clean
            frames += read.frames
            assert np.array(row["labels"])[table == i][0] == IGNORE
    assert frames == sum(tokens.num_frames for _, tokens in open_store(home / "store"))
    assert run(home, tmp_path / "x", "--task", "speech", "--cut", "--length", "3").exit_code == 2


@pytest.mark.parametrize(
    ("task", "more"),
    [
        ("s2st", ["--target", "TARGET"]),
        ("s2tt", []),
        ("spoken-qa", ["--target", "TARGET"]),
        ("caption", ["--time-weight", "5"]),
        ("interleaved", ["--ratio", "glm-4-voice"]),
        ("repetition", ["--group", "3"]),
        ("continuation", []),
        ("speech-continuation", ["--prompt-seconds", "0.2"]),
        ("text", []),
        ("speech", ["--pattern", "sections"]),
    ],
)
def test_every_kind_of_task_packs(home: Path, tmp_path: Path, task: str, more: list[str]) -> None:
    more = [str(home / "target") if m == "TARGET" else m for m in more]
    result = run(home, tmp_path / "out", "--task", task, "--text", str(home / "texts.tsv"), *more)
    alone = 8 if task == "continuation" else 0  # the fifth of each book has none to continue with
    assert result.exit_code == bool(alone), result.output
    report = json.loads(result.stdout)
    assert report["dropped"] == ({"no second utterance to continue with": alone} if alone else {})
    groups = {"repetition": 16, "continuation": 8}  # eight books of five utterances, in threes or fours
    assert report["items"] == groups.get(task, 40)
    assert 0 < report["labels"] <= report["tokens"]
    if task == "caption":
        assert report["weight"] == report["labels"] + 40 * 4
    else:
        assert report["weight"] == report["labels"]


@pytest.mark.parametrize("task", ["asr", "s2tt", "repetition"])
@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_texts_are_those_of_the_store_where_no_table_is_given(
    home: Path, tmp_path: Path, task: str, format: str
) -> None:
    store = open_store(home / "store")
    convert_store(store, tmp_path / "store", format=format, labels=home / "texts.tsv")
    more = ["--task", task, "--pattern", "sections"] if task == "asr" else ["--task", task]
    assert run(home, tmp_path / "table", *more, "--text", str(home / "texts.tsv")).exit_code == 0
    assert run(home, tmp_path / "labels", *more, store=str(tmp_path / "store")).exit_code == 0
    assert sequences(tmp_path / "labels") == sequences(tmp_path / "table")
    assert run(home, tmp_path / "none", *more).exit_code == 2
    # A table counts before the labels, and these where it says nothing.
    (tmp_path / "some.csv").write_text("id,text,translation\nbook0/u0,a wolf,ein Wolf\n")
    assert run(home, tmp_path / "some", *more, "--text", str(tmp_path / "some.csv"), store=str(tmp_path / "store"))
    found, before = sequences(tmp_path / "some"), sequences(tmp_path / "table")
    assert found.keys() == before.keys()
    assert [key for key in found if found[key] != before[key]] == ["book0/u0"]


def test_a_manifest_of_absolute_paths_without_ids(home: Path, tmp_path: Path) -> None:
    """Ids are the store's, whatever reads the manifest."""
    names = [f"/data/book{i // 5}/u{i}.flac" for i in range(40)]
    lines = [json.dumps({"audio_filepath": name, "text": f"the fox {i}"}) for i, name in enumerate(names)]
    (tmp_path / "m.jsonl").write_text("\n".join(lines) + "\n")
    store = open_store(home / "store")
    ids = [item.id for item in read_corpus(tmp_path / "m.jsonl")]
    rows = [(key, tokens) for key, (_, tokens) in zip(ids, store, strict=True)]
    with StoreWriter(tmp_path / "store", store.info, 1) as writer:
        writer.write_shard(0, rows, [], "a")
        writer.close({})
    more = ["--task", "asr", "--text", str(tmp_path / "m.jsonl")]
    result = run(home, tmp_path / "out", *more, store=str(tmp_path / "store"))
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["items"] == 40
    assert set(sequences(tmp_path / "out")) == {f"data/book{i // 5}/u{i}" for i in range(40)}


def test_chat(home: Path, tmp_path: Path) -> None:
    answer = [{"text": "it says"}, {"audio": "book1/u6"}]
    turns = [{"role": "user", "content": [{"audio": "book0/u0"}]}, {"role": "assistant", "content": answer}]
    lost = [{"role": "user", "content": [{"audio": "nowhere"}]}]
    lines = [{"id": "d0", "messages": turns}, {"id": "d1", "messages": lost}, {"id": "d2", "messages": turns[1:]}]
    (tmp_path / "chat.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = run(home, tmp_path / "out", "--task", "chat", "--text", str(tmp_path / "chat.jsonl"))
    assert result.exit_code == 1, result.output
    assert json.loads(result.stdout)["dropped"] == {"no audio 'nowhere' in the store": 1}
    tokenizer, vocab = with_audio("byte-level", SIZES)
    ids, labels = sequences(tmp_path / "out")["d0"]
    codes, _ = parse(vocab, [i for i in labels if i != IGNORE])
    assert torch.equal(codes, open_store(home / "store")["book1/u6"].codes)
    assert tokenizer.decode([i for i in labels if i != IGNORE and not vocab.owns(np.array(i))]) == "it says<|im_end|>"
    assert ids[0] == tokenizer.bos_token_id
    assert ids.count(tokenizer.bos_token_id) == 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--task", "sing"], "no task 'sing'"),
        (["--task", "asr"], "--text"),
        (["--task", "s2st"], "--target"),
        (["--task", "chat"], "--text"),
        (["--task", "speech", "--pattern", '{"pattern": "partial-flatten", "flattening": [0, 0, 1, 1]}'], "no ends"),
        (["--task", "speech", "--pattern", "zigzag"], "zigzag"),
        (["--task", "speech-continuation", "--pattern", "sections"], "pattern flatten"),
        (["--task", "speech", "--codebook-weights", "1,x"], "numbers such as"),
        (["--task", "speech", "--codebook-weights", "1,2"], "4 codebooks"),
        (["--task", "speech", "--ratio", "1:0"], "ratio"),
    ],
)
def test_usage_errors_are_one_line(home: Path, tmp_path: Path, more: list[str], message: str) -> None:
    result = run(home, tmp_path / "out", *more)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_another_tokenizers_store_is_refused(home: Path, tmp_path: Path) -> None:
    other = AudioVocab.load(home / "model").to_dict()
    for field, value, message in (
        ("tokenizer_fingerprint", "0" * 32, "is of tokenizer tiny"),
        ("codebook_sizes", [64, 32, 31, 16], "do not belong together"),
    ):
        (tmp_path / "v").mkdir(exist_ok=True)
        (tmp_path / "v" / "audio_vocab.json").write_text(
            json.dumps({**other, field: value, "marks": [], "timestamps": None})
        )
        result = run(home, tmp_path / "out", "--task", "speech", "--model", str(tmp_path / "v"))
        assert result.exit_code == 2
        assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_first_codebooks_of_a_store_without_a_text_tokenizer(home: Path, tmp_path: Path) -> None:
    AudioVocab.create(SIZES[:2], 0, tokenizer_fingerprint=PRINT).save(tmp_path / "v")
    assert run(home, tmp_path / "out", "--task", "speech", "--model", str(tmp_path / "v")).exit_code == 0
    vocab = AudioVocab.load(tmp_path / "v")
    for key, tokens in open_store(home / "store"):
        assert torch.equal(parse(vocab, sequences(tmp_path / "out")[key][0])[0], tokens.codes[:2])
        break
    result = run(home, tmp_path / "o2", "--text", str(home / "texts.tsv"), "--model", str(tmp_path / "v"))
    assert result.exit_code == 2
    assert "text tokenizer" in result.stderr


def test_overwrite(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(home, out, "--task", "speech").exit_code == 0
    assert "--overwrite" in run(home, out, "--task", "speech").stderr
    assert run(home, out, "--task", "speech", "--overwrite").exit_code == 0
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_tables(tmp_path: Path) -> None:
    def read(name: str, content: str) -> Any:
        (tmp_path / name).write_text(content, encoding="utf-8")
        return read_texts(tmp_path / name)

    assert read("a.txt", "u1 the fox\nu2\n")["u1"].text == "the fox"
    assert read("text", "u1 the fox\n")["u1"].text == "the fox"
    assert read("a.csv", 'id,sentence\nx/y.z,"a, b"\n')["x/y.z"].text == "a, b"
    assert read("a.tsv", 'path\ttext\nx/y.wav\t"a\n')["x/y"].text == '"a'
    words = read("a.jsonl", '{"id": "u", "words": [["a", 0, 0.5]], "group": 7}\n')["u"]
    assert (words.words[0].end, words.group, words.text) == (0.5, "7", None)
    for name, content, message in [
        ("b.xml", "", "known kind"),
        ("b.jsonl", "{", "line 1 .* is not JSON"),
        ("c.jsonl", '{"text": "a"}\n', "line 1 .* no id"),
        ("d.jsonl", '{"id": "u", "words": [["a", 0]]}\n', "line 1 .* damaged"),
        ("e.txt", "u a\nu b\n", "comes twice"),
        ("f.txt", "", "no lines"),
    ]:
        with pytest.raises(FormatError, match=message):
            read(name, content)


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_labels_are_read_where_they_are_wanted(
    home: Path, tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = convert_store(open_store(home / "store"), tmp_path / "s", format=format, labels=home / "texts.tsv")
    asked = []
    read = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile,
        "iter_batches",
        lambda file, **options: asked.append(options["columns"]) or read(file, **options),
    )
    assert all(row.labels == {} for row in code_rows(store))
    assert next(code_rows(store, ("text", "group"))).labels == {"text": "the fox 0"}
    own = ["id", "codes", "durations"]
    assert asked == ([own, own, [*own, "text"]] if format == "parquet" else [])


@pytest.mark.parametrize("dedup", [False, True])
def test_columns_are_what_the_reader_reads(tmp_path: Path, dedup: bool) -> None:
    info = StoreInfo("parquet", "tiny", PRINT, 16000, Fraction(25), (2, 2), StoreOptions(dedup), "0" * 64)
    rng = np.random.default_rng(0)
    rows = []
    for i, t in enumerate([5, 0, 1, 40, 7]):
        tokens = info.tokens(torch.from_numpy(rng.integers(0, 2, (2, t))), t * 640, None)
        rows.append((f"u{i}", tokens.dedup() if dedup else tokens))
    writer = StoreWriter(tmp_path / "s", info, 2)
    writer.write_shard(0, rows[:3], [], "a")
    writer.write_shard(1, rows[3:], [], "b")
    writer.close({})
    store = open_store(tmp_path / "s")
    found = list(code_rows(store))
    assert [row.id for row in found] == [key for key, _ in store]
    for row, (_, tokens) in zip(found, store, strict=True):
        assert np.array_equal(row.codes, tokens.codes.numpy())
        assert np.array_equal(row.expanded(), tokens.expand().codes.numpy())
        assert (row.durations is None) == (not dedup)
    shard = tmp_path / "s" / "shards" / "00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-50])
    with pytest.raises(FormatError, match=r"00001\.parquet is damaged"):
        list(code_rows(store))
    shard.unlink()
    with pytest.raises(FormatError, match=r"00001\.parquet"):
        list(code_rows(store))
