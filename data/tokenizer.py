"""Byte-level BPE: trained with `tokenizers`, saved as JSON, never as a pickle.

BOS is not in the tokenizer but is the last id of the vocabulary, so no text can spell it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# GPT-4's split pattern with numbers of at most two digits, as nanochat uses it for small vocabularies
SPLIT_PATTERN = (
    r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"""
)


def bos_id(vocab: int) -> int:
    return vocab - 1


def train_tokenizer(texts: Iterator[str], vocab: int) -> Tokenizer:
    """A byte-level BPE of at most `vocab` - 1 tokens; a small corpus may give fewer."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    if vocab < 257:
        raise DataError(f"a vocabulary of {vocab} is too small", "256 bytes and BOS need at least 257")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(pattern=Regex(SPLIT_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab - 1,
        show_progress=False,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    return tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(path))


def encode(tokenizer: Tokenizer, texts: list[str]) -> list[NDArray[np.uint32]]:
    return [np.array(e.ids, dtype=np.uint32) for e in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def bytes_per_token(tokenizer: Tokenizer, vocab: int) -> NDArray[np.int32]:
    """Bytes of UTF-8 each id stands for; 0 for BOS and unused ids. A byte-level token has one character a byte."""
    table = np.zeros(vocab, dtype=np.int32)
    for token, index in tokenizer.get_vocab().items():
        table[index] = len(token)
    return table
