"""Units: k-means and other streams over an encoder's features, and the tokenizer made of them."""
