"""Fingerprints of the tokenizers that ship, so that what they wrote finds them again under whatever name.

Tokens are bound to a code space. A name like ``speech`` is an alias that moves to a better tokenizer one day; the
versioned name, ``speech-1``, stays. Version 0.1 hashed the decoder too, and a decoder that has been replaced since
cannot tell what its hash was: such former fingerprints are listed here. A test compares this table with the weights.
"""

from __future__ import annotations

SHIPPED: dict[str, tuple[str, ...]] = {
    "speech-1": ("f449b381a2cedd8f9b76e85dc5e3ca72", "34113aa1a5f7691f8f6bcff569420b94"),
    "speech-2": ("346116d6b8d512966fca0c4a842d28c9",),
    "units-1": ("43544ad67029c3db570b06255da02869",),
}
"""Versioned name -> its fingerprint, then former ones that stand for the same codes."""
ALIASES = {"speech": "speech-2", "units": "units-1"}
"""Name without a version -> the version it stands for now."""


def maker_of(fingerprint: str) -> str | None:
    """Versioned name of the shipped tokenizer that has or had this fingerprint, or None."""
    return next((name for name, prints in SHIPPED.items() if fingerprint in prints), None)


def made_by(fingerprint: str | None, recorded: str | None) -> str | None:
    """Name to load the tokenizer of some tokens by: a shipped one by its version, others as it was recorded.

    Args:
        fingerprint: of the tokenizer that made them, where it is known.
        recorded: its name then, an alias perhaps, which may have moved on.
    """
    return (maker_of(fingerprint) if fingerprint is not None else None) or recorded
