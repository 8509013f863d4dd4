"""Writing JSONL manifests."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping


def json_line(entry: Mapping[str, object]) -> str:
    """One line; a path whose bytes are not UTF-8 is kept by escapes, which reading gives back."""
    text = json.dumps(entry, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(entry)
    return text + "\n"


def audio_path(path: str, folder: str) -> str:
    """A file's path as a manifest in ``folder`` gives it: relative if it lies inside, so that both can be moved."""
    inside = path.startswith(folder.rstrip(os.sep) + os.sep)
    return os.path.relpath(path, folder) if inside else path
