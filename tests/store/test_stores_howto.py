"""The Python of docs/stores.md runs, and its table lists the files that the formats write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from codectok.store.formats.table import FORMATS, get_format
from tests.store.making import make_info, make_rows, make_store

PAGE = (Path(__file__).parents[2] / "docs/stores.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_python_runs(tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("datasets", "kaldiio", "webdataset", "lhotse"):
        if name in BLOCKS[block]:
            pytest.importorskip(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for folder in ("tokens", "kaldi", "webdataset", "lhotse"):
        info = make_info("parquet" if folder == "tokens" else folder, (8, 5))
        make_store(tmp_path / folder, info, [make_rows(info, [9, 5], ["sub/a", "b"]), make_rows(info, [5])])
    exec(compile(BLOCKS[block], "docs/stores.md", "exec"), {})


def test_table_has_every_format_and_file() -> None:
    rows = dict(re.findall(r"^\| `(\w+)`[^|]*\| ([^|]*)\|", PAGE, re.MULTILINE))
    assert {name: set(cell.split()) for name, cell in rows.items() if name in FORMATS} == {
        name: {f"`{suffix}`" for suffix in form.suffixes}
        for name, form in ((name, get_format(name)) for name in FORMATS)
    }
    for extra in (name for form in map(get_format, FORMATS) for name in form.extras):
        assert f"`{extra}`" in PAGE
