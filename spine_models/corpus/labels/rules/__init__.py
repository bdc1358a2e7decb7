"""The rules labeller, the embedded default: sections, sentences, a lexicon, ConText-like scope, places and grades."""
