"""A model in a local folder never makes the hub be asked: not by its files, not by a name that is none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import codectok
from codectok.errors import FormatError
from codectok.units import load_encoder
from tests.import_graph import ROOT

KM = ROOT / "tests/data/v0_1/km"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever opens a connection fails the test; errors of the hub's client would be taken for a missing file."""

    def refused(*address: Any, **_: Any) -> None:
        pytest.fail(f"the network was asked for {address[:1]}")

    monkeypatch.setattr("socket.getaddrinfo", refused)
    monkeypatch.setattr("socket.create_connection", refused)


@pytest.mark.parametrize("name", [float("inf"), "x", "", None, ["a/b"], "../../etc", "/etc", "a\0b", "https://a/b/c"])
def test_an_encoder_name_that_is_none_is_refused_at_once(tmp_path: Path, name: Any) -> None:
    shutil.copytree(KM, tmp_path / "km")
    config = json.loads((KM / "config.json").read_text())
    config["encoder"]["name"] = name
    (tmp_path / "km/config.json").write_text(json.dumps(config))
    with pytest.raises(FormatError) as caught:
        codectok.load(str(tmp_path / "km"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", [None, "preprocessor_config.json", "model.safetensors", "config.json"])
def test_files_that_a_local_encoder_lacks_are_not_looked_for_elsewhere(tmp_path: Path, missing: str | None) -> None:
    shutil.copytree(KM / "encoder", tmp_path / "e")
    if missing is None:
        assert load_encoder(tmp_path / "e", layer=1).dim > 0
        return
    (tmp_path / "e" / missing).unlink()
    with pytest.raises(FormatError):
        load_encoder(tmp_path / "e", layer=1)
