"""Fixtures of the store tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def no_sync() -> Iterator[None]:
    """Files are not forced to disk: thousands of small ones would be most of a test's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("codectok.files.atomic.os.fsync", lambda handle: None)
        yield
