"""Manifests of known corpora from how they lie on disk: one module a corpus, :func:`prepare` for all."""

from __future__ import annotations

from codectok.corpus.prepare.run import CORPORA, Prepared, SplitTotals, prepare

__all__ = ["CORPORA", "Prepared", "SplitTotals", "prepare"]
