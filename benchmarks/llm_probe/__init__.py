"""The LLM probe: what a causal language model makes of each input, in the arms of the study of speech LLMs.

After Wang et al. 2025 (arXiv 2508.17863): the same language model reads codes as new tokens, features through a
projector, or the vectors of the codes through the same projector, and says the label as text.
"""

from .arms import ARMS
from .probe import run

__all__ = ["ARMS", "run"]
