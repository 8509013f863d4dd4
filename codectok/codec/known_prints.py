"""Packaged weights whose decoder was trained further while their codes stayed what they were.

A fingerprint covers all of a codec's weights, the decoder's with them, and would tell such a model from its
predecessor. It keeps the predecessor's, so that every token, store and vocabulary made before goes on with it.
"""

from __future__ import annotations

SAME_CODES: dict[str, str] = {}
"""Fingerprint of the model as it is now: that of the codes."""


def of_codes(print_: str) -> str:
    """The fingerprint that a model with ``print_`` goes by: its own, unless it is listed in :data:`SAME_CODES`."""
    return SAME_CODES.get(print_, print_)
