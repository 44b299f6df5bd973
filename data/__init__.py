"""Corpora to token files: read, split, tokenize, pack. Frozen: no experiment changes it.

Importing this package imports nothing heavy; numpy, tokenizers and pyarrow are imported by the modules that
use them.
"""
