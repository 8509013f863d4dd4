from __future__ import annotations

from pathlib import Path

import pytest

from codectok.errors import FormatError
from codectok.items.readers.webdataset import read_webdataset


def test_a_list_of_shards_with_a_nul_byte_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "shards.txt").write_text("a*\0b.tar\n")
    with pytest.raises(FormatError, match="NUL byte"):
        list(read_webdataset(tmp_path / "shards.txt", str(tmp_path)))
