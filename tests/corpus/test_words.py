"""What ``codectok tokenize`` says when it is asked for what cannot be done, and that nothing is left behind."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from click.testing import CliRunner, Result

from codectok.cli.main import main
from codectok.cli.tokenize import tokenize
from codectok.corpus.engines import default_workers, device_kind
from codectok.corpus.pipeline import tokenize_corpus
from codectok.errors import CodectokError
from codectok.items.corpus import read_corpus
from codectok.store import open_store
from codectok.store.verify import verify_store
from tests.corpus.tokenizers import Loudness


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    folder = tmp_path / "audio"
    folder.mkdir()
    for i in range(3):
        soundfile.write(folder / f"{i}.wav", np.sin(np.arange(8000 + i) / 9) / 2, 8000)
    return folder


def command(corpus: Path, out: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["tokenize", str(corpus), "-o", str(out), "--tokenizer", "pcm", *options])


def refusal(corpus: Path, out: Path, *options: str) -> str:
    """The one line of a command that fails and writes nothing."""
    result = command(corpus, out, *options)
    assert result.exit_code == 2, result.output
    assert not (out / "store.json").exists()
    assert not list(out.glob("shards/*"))
    (line,) = result.stderr.splitlines()
    return line


@pytest.mark.parametrize("seconds", ["nan", "inf"])
def test_a_batch_has_a_length(audio: Path, tmp_path: Path, seconds: str) -> None:
    # JSON has no such numbers, so store.json could not be read by others.
    assert f"a number above 0, not {seconds}" in refusal(audio, tmp_path / "s", "--batch-seconds", seconds)


def test_a_folder_that_cannot_be(audio: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "choose another folder" in refusal(audio, tmp_path / "file/s")
    assert "choose another" in refusal(audio, tmp_path / "file")


def test_one_recording_is_no_corpus(audio: Path, tmp_path: Path) -> None:
    assert "is one recording: give its folder" in refusal(audio / "0.wav", tmp_path / "s")


@pytest.mark.parametrize("devices", ["cpu,", "cpu,cuda:0", ""])
def test_devices_of_one_kind(audio: Path, tmp_path: Path, devices: str) -> None:
    assert "not one kind of device" in refusal(audio, tmp_path / "s", "--device", devices)
    assert device_kind("cuda:0, cuda:1") == "cuda"
    assert device_kind(None) == "cpu"


def test_another_device_is_another_job(audio: Path, tmp_path: Path) -> None:
    assert command(audio, tmp_path / "s").exit_code == 0
    result = command(audio, tmp_path / "s", "--device", "cuda")
    assert result.exit_code == 2
    assert "--device cpu is now cuda" in result.stderr
    assert command(audio, tmp_path / "s", "--device", "cpu").exit_code == 0


def test_where_the_tokenizer_is_is_where_it_runs(audio: Path, tmp_path: Path) -> None:
    tokenizer = Loudness()
    tokenizer.device = "meta:0"  # type: ignore[attr-defined]
    with pytest.raises(CodectokError, match="save it to a model folder"):  # another process would open it on "meta:0"
        tokenize_corpus(read_corpus(audio), tokenizer, tmp_path / "s")
    assert json.loads((tmp_path / "s/.work/job.json").read_text())["options"]["device"] == "meta"


def test_a_store_among_the_shards_that_are_read(audio: Path, tmp_path: Path) -> None:
    folder = tmp_path / "parquet"
    folder.mkdir()
    rows = [{"bytes": p.read_bytes(), "path": p.name} for p in sorted(audio.iterdir())]
    pq.write_table(pa.table({"audio": rows}), folder / "train.parquet")
    assert "inside the corpus" in refusal(folder, folder / "tokens")
    assert command(folder, tmp_path / "s").exit_code == 0
    assert command(audio, audio / "tokens").exit_code == 0  # no audio is in a store
    assert len(open_store(audio / "tokens")) == 3


def test_a_job_of_which_nothing_is_done_gives_way(audio: Path, tmp_path: Path) -> None:
    out = tmp_path / "s"
    assert "cannot be used" in refusal(audio, out, "--device", "nonsense")
    assert (out / ".work/job.json").exists()
    assert command(audio, out, "--shard-size", "2").exit_code == 0
    assert list(verify_store(open_store(out))) == []
    result = command(audio, out)
    assert result.exit_code == 2
    assert "--shard-size 2 is now 1000" in result.stderr


def test_a_finished_store_is_said_to_be_finished(audio: Path, tmp_path: Path) -> None:
    (audio / "bad.wav").write_bytes(b"RIFF")
    first = command(audio, tmp_path / "s")
    assert first.exit_code == 1
    assert first.stdout.startswith("wrote ")
    again = command(audio, tmp_path / "s")
    assert again.exit_code == 1
    assert "was finished before: nothing to do (--overwrite" in again.stdout
    assert "real time" not in again.stdout
    assert json.loads(command(audio, tmp_path / "s", "--json").stdout)["already_finished"]


@pytest.mark.skipif(os.name != "posix", reason="names as POSIX has them")
def test_an_unreadable_file_whose_name_is_not_utf8_is_recorded(audio: Path, tmp_path: Path) -> None:
    with open(os.fsencode(audio) + b"/caf\xe9.wav", "wb") as f:
        f.write(b"RIFF")
    assert command(audio, tmp_path / "s").exit_code == 1
    (error,) = open_store(tmp_path / "s").errors
    assert (error.id, error.path) == (r"caf\xe9", f"{audio}/caf\\xe9.wav")


def test_files_without_a_length_are_not_many(audio: Path) -> None:
    for i in range(3, 9):
        (audio / f"{i}.wav").write_bytes(b"RIFF")
    assert default_workers(read_corpus(audio)) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--device", "cuda"], "leave out --device"),
        (["--shard", "1/2"], "leave out --shard"),
        (["--engine", "ray"], "give --workers"),
        (["--flatten"], "leave out --flatten"),
        (["--tokenizer", "speech", "--format", "gslm"], "use --codebooks 1"),
    ],
)
def test_an_estimate_is_of_the_very_run(audio: Path, tmp_path: Path, options: list[str], words: str) -> None:
    assert words in refusal(audio, tmp_path / "s", "--dry-run", *options)
    assert not (tmp_path / "s").exists()


def test_an_estimate_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    real, dry = (refusal(tmp_path / "empty", tmp_path / "s", *more) for more in ([], ["--dry-run"]))
    assert real == dry


def test_help_has_every_option_once() -> None:
    text = CliRunner().invoke(tokenize, ["--help"]).stdout
    begins = [line.split()[0].rstrip(",") for line in text.splitlines() if line.strip()]
    for option in tokenize.params:
        if option.param_type_name == "option":
            assert begins.count(option.opts[0]) == 1
    assert "Other options" in text  # --help itself
    assert max(map(len, text.splitlines())) <= 80
