"""What a language model of speech knows: likelihoods of pairs and seconds, and what its continuations say."""
