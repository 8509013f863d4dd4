"""Full-size peers, built once a session and written as the Hugging Face folders that users have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import EncodecConfig, MimiConfig

from codectok.codec.encodec import EncodecCodec
from codectok.codec.hf import load_hf_codec
from codectok.codec.mimi import MimiCodec
from tests.codec.peers import encodec_peer, mimi_peer


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors gain nothing from threads, which on a busy machine cost a hundredfold in waiting for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def encodec_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """EnCodec of the size of facebook/encodec_24khz, and its folder."""
    folder = tmp_path_factory.mktemp("encodec")
    peer = encodec_peer(EncodecConfig())
    peer.save_pretrained(folder)
    return peer, folder


@pytest.fixture(scope="session")
def encodec_pair(encodec_folder: tuple[Any, Path]) -> tuple[Any, EncodecCodec]:
    """The same EnCodec in transformers and here."""
    model = load_hf_codec(encodec_folder[1])
    assert isinstance(model, EncodecCodec)
    return encodec_folder[0], model


@pytest.fixture(scope="session")
def mimi_pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, MimiCodec]:
    """Mimi of the size of kyutai/mimi, in transformers and here."""
    folder = tmp_path_factory.mktemp("mimi")
    peer = mimi_peer(MimiConfig())
    peer.save_pretrained(folder)
    model = load_hf_codec(folder)
    assert isinstance(model, MimiCodec)
    return peer, model
