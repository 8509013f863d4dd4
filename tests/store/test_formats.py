"""Every format: what is written is read, in the same bytes each time; what is damaged or cannot be held is refused."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codectok.errors import CodectokError, FormatError, UnknownNameError
from codectok.store import StoreOptions
from codectok.store.flat import flatten, unflatten
from codectok.store.formats.espnet import UNITS
from codectok.store.formats.table import FORMATS, get_format
from codectok.store.ids import ODD_PATHS, WHITE_SPACE, IdEscape
from codectok.store.names import FORMATS as NAMES
from codectok.store.names import SINGLE_STREAM
from tests.store.making import make_info, make_rows, row_of, write_rows

pytestmark = pytest.mark.usefixtures("no_sync")

AWKWARD = "ab/.|% \t\n\r\x00\x1c\x85\u2028\u3000\\_~é語\U0001f600:2Ff"
ids = st.one_of(
    st.text(AWKWARD, min_size=1, max_size=8), st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
)
each_format = pytest.mark.parametrize("format", NAMES)


def test_names_are_those_of_the_formats() -> None:
    assert tuple(FORMATS) == NAMES
    assert all(get_format(name).name == name for name in NAMES)
    with pytest.raises(UnknownNameError, match=r"no store format 'h5'.*parquet, jsonl"):
        get_format("h5")


@each_format
@settings(max_examples=30, deadline=None)
@given(
    names=st.lists(ids, max_size=5, unique=True),
    sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=4).map(tuple),
    dedup=st.booleans(),
    data=st.data(),
)
def test_what_is_written_is_read(
    format: str, names: list[str], sizes: tuple[int, ...], dedup: bool, data: st.DataObject
) -> None:
    info = make_info(format, sizes, dedup)
    lengths = data.draw(st.lists(st.integers(0, 7), min_size=len(names), max_size=len(names)))
    rows = make_rows(info, lengths, names)
    with tempfile.TemporaryDirectory() as folder:
        path = write_rows(Path(folder), info, rows)
        assert list(get_format(format).read_shard(path, info)) == rows


@each_format
@pytest.mark.parametrize("dedup", [False, True])
def test_bytes_depend_on_content_alone(
    tmp_path: Path, format: str, dedup: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = make_info(format, (8,), dedup)
    rows = make_rows(info, [4, 0, 9], ["a/b", "c d", "e.f"])
    first = write_rows(tmp_path / "first", info, rows).parent
    monkeypatch.setattr("time.time", lambda: 2e9)
    second = write_rows(tmp_path / "elsewhere/second", info, rows).parent
    written = {p.name: p.read_bytes() for p in first.iterdir()}
    assert written == {p.name: p.read_bytes() for p in second.iterdir()}
    suffixes = get_format(format).suffixes
    assert {name.removeprefix("00000") for name in written} == {
        s for s in suffixes if dedup or not s.startswith(".dur")
    }


@each_format
@pytest.mark.parametrize("dedup", [False, True])
def test_what_is_cut_off_is_refused(tmp_path: Path, format: str, dedup: bool) -> None:
    info = make_info(format, (5,), dedup)
    rows = make_rows(info, [40, 1, 30], ["a", "b", "c"])
    form = get_format(format)
    path = write_rows(tmp_path, info, rows)
    # Copies for other readers: the same facts stand in another file, and the checksums of the store guard these.
    copies = (".txt", ".utt2num_frames") if format == "kaldi" else ()
    for file in sorted(path.parent.iterdir()):
        if file.name.endswith(copies) and copies:
            continue
        whole = file.read_bytes()
        for share in (0.0, 0.1, 0.5, 0.9):
            file.write_bytes(whole[: int(len(whole) * share)])
            if format == "jsonl" and not share:
                continue  # an empty shard is one of no rows
            with pytest.raises(CodectokError, match=r"make the store again|damaged"):
                list(form.read_shard(path, info))
        file.write_bytes(whole)
    assert list(form.read_shard(path, info)) == rows


@each_format
def test_codes_out_of_range_are_named(tmp_path: Path, format: str) -> None:
    info = make_info(format, (9,))
    path = write_rows(tmp_path, info, [row_of(info, "a", [[3, 7]])])
    with pytest.raises(CodectokError, match=r"code 7 of codebook 0 at frame 1 is outside 0\.\.3"):
        list(get_format(format).read_shard(path, replace(info, codebook_sizes=(4,))))


@pytest.mark.parametrize("format", ["gslm", "textless", "espnet", "kaldi", "lhotse"])
def test_files_of_different_utterances_are_noticed(tmp_path: Path, format: str) -> None:
    info = make_info(format, (9,))
    path = write_rows(tmp_path / "a", info, [row_of(info, "a", [[3]])])
    other = write_rows(tmp_path / "b", info, [row_of(info, "b", [[3]])])
    path.write_bytes(other.read_bytes())
    with pytest.raises(FormatError, match=r"different utterances|not those of"):
        list(get_format(format).read_shard(path, info))


@each_format
def test_several_codebooks_are_flattened_or_side_by_side(format: str) -> None:
    info = make_info(format, (4, 4))
    get_format(format).check(info)
    options = StoreOptions(flatten=not info.options.flatten)
    remedy = r"--codebooks 1 .*--flatten.*--format" if format in SINGLE_STREAM else "leave out --flatten"
    with pytest.raises(FormatError, match=f"{format} holds .*{remedy}"):
        get_format(format).check(replace(info, options=options))


def test_codes_beyond_a_format() -> None:
    get_format("espnet").check(make_info("espnet", (UNITS,)))
    with pytest.raises(FormatError, match=r"there are 20993 units: use a tokenizer .*--format kaldi"):
        get_format("espnet").check(make_info("espnet", (UNITS + 1,)))
    with pytest.raises(FormatError, match="there are 24000 units: use --codebooks"):
        get_format("espnet").check(make_info("espnet", (12000, 12000)))
    get_format("jsonl").check(make_info("jsonl", (2**31,)))
    for format in ("parquet", "kaldi", "webdataset", "lhotse"):
        with pytest.raises(FormatError, match=r"below 2\^31"):
            get_format(format).check(make_info(format, (2**31 + 1,)))


@given(ids, st.sampled_from(["", WHITE_SPACE, "|", "\t", ".\\\\"]), st.sampled_from([None, ODD_PATHS]))
@example("a%2Eb", "", None)
@example("%\n%2\t%25", WHITE_SPACE, ODD_PATHS)
def test_escaped_ids_come_back(id: str, characters: str, pattern: str | None) -> None:
    ids = IdEscape(characters, pattern)
    text = ids.escape(id)
    assert ids.restore(text) == id
    assert not any(c in text for c in "\n\r\u2028\x85" + (characters if len(characters) == 1 else ""))


@pytest.mark.parametrize("id", ["103/1240/103-1240-0000", "100%", "ünï-語", "a_b~c:d,e=f", 'say ("hi")'])
def test_usual_ids_stay_as_they_are(id: str) -> None:
    for ids in (IdEscape(), IdEscape(WHITE_SPACE), IdEscape("|", ODD_PATHS)):
        assert ids.escape(id.replace(" ", "-")) == id.replace(" ", "-")


def test_flatten_order_and_inverse() -> None:
    codes = torch.tensor([[1, 2], [0, 4], [2, 2]])
    units = flatten(codes, (3, 5, 4))
    assert units.tolist() == [1, 3, 10, 2, 7, 10]
    assert torch.equal(unflatten(units, (3, 5, 4)), codes)
    with pytest.raises(FormatError, match="do not divide"):
        unflatten(units[:-1], (3, 5, 4))


def test_row_groups_are_cut_by_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codectok.store.formats.parquet.CODES_PER_GROUP", 20)
    info = make_info("parquet", (4, 4))
    rows = make_rows(info, [3, 3, 4, 1, 50, 0, 10, 1])
    path = write_rows(tmp_path, info, rows)
    with pq.ParquetFile(path) as file:
        groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        assert json.loads(file.schema_arrow.metadata[b"codectok"])["codebook_sizes"] == [4, 4]
    assert groups == [3, 1, 1, 2, 1]
    assert list(get_format("parquet").read_shard(path, info)) == rows
