"""Training the decoder alone: codes stay, levels come right, ceilings are fitted, and a run resumes bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from codectok import FormatError, load
from codectok.codec.harmonic import HarmonicCodec
from codectok.testing import voice
from tests.train.recipes import recipe
from train_codec.loop import train
from train_codec.trainer import Trainer

LEVEL = {"level_weight": 2, "bands_weight": 3, "excess_weight": 3, "ceiling_bands": 8, "peak": 0.985}
ALONE = {**LEVEL, "freeze": "[encoder,quantizer]", "quantize_from": 0, "discriminators": "[]"}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder from before there were ceilings."""
    trainer = Trainer(recipe(tmp_path_factory.mktemp("before") / "run"))
    train(trainer)
    return trainer.export()


def alone(out: Path, before: Path, until: int | None = None, **changes: Any) -> Trainer:
    trainer = Trainer(recipe(out, start_from=before, **{**ALONE, **changes}))
    train(trainer, until)
    return trainer


def test_codes_stay_and_only_the_decoder_learns(tmp_path: Path, before: Path) -> None:
    old, new = load(str(before)), load(str(alone(tmp_path / "run", before).export()))
    x = voice(16000, 16000)
    codes = old.encode(x, 16000)
    assert torch.equal(codes.codes, new.encode(x, 16000).codes)
    theirs, ours = (t.model.state_dict() for t in (old, new))  # type: ignore[attr-defined]
    changed = {
        name.partition(".")[0] for name in ours if name not in theirs or not torch.equal(ours[name], theirs[name])
    }
    assert changed == {"decoder"}
    assert new.decode(new.encode(x, 16000)).shape == x.shape


def test_a_run_of_the_decoder_alone_resumes_bit_for_bit(tmp_path: Path, before: Path) -> None:
    whole = alone(tmp_path / "whole", before).codec.state_dict()
    alone(tmp_path / "parts", before, until=10)
    parts = alone(tmp_path / "parts", before).codec.state_dict()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_ceilings_are_fitted_before_the_first_step(tmp_path: Path, before: Path) -> None:
    """Most speech lies below them, and not by much."""
    codec = alone(tmp_path / "run", before, until=1).codec
    assert isinstance(codec, HarmonicCodec)
    from train_codec.ceiling import targets

    x = torch.from_numpy(np.stack([voice(16000 * 2, 16000, seed) for seed in (1, 2)]))[:, : 640 * 48]
    with torch.no_grad():
        z = codec.dequantize(codec.quantize(codec.encode_step(x, None, False)[0], 4))
        ceilings = codec.decoder.outputs(z, None)[1]
        assert ceilings is not None
        above = targets(codec, x) - ceilings
    assert float((above > 0).float().mean()) < 0.4
    assert float(above.quantile(0.5)) > -12


@pytest.mark.parametrize(("parts", "what"), [("[x]", "encoder, quantizer"), ("[encoder,quantizer,decoder]", "nothing")])
def test_what_cannot_be_frozen_is_refused(tmp_path: Path, before: Path, parts: str, what: str) -> None:
    with pytest.raises(FormatError, match=what):
        alone(tmp_path / "run", before, freeze=parts)
