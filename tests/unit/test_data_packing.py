"""Packing, splitting and dropping copies: pure functions of the data package."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data.documents import Document, cut, split_of, unique
from data.packing import pack

BOS = 999
documents_of_tokens = st.lists(st.lists(st.integers(0, 998), min_size=1, max_size=60), max_size=30)


@settings(max_examples=200, deadline=None)
@given(documents_of_tokens, st.integers(3, 20))
def test_every_token_is_used_once_and_every_row_starts_with_bos(documents: list[list[int]], width: int) -> None:
    rows = pack([np.array(d, dtype=np.uint32) for d in documents], width, BOS)
    assert rows.shape[1] == width
    assert (rows[:, 0] == BOS).all()
    packed = np.sort(rows[rows != BOS])
    assert packed.tolist() == sorted(token for d in documents for token in d)


@settings(max_examples=100, deadline=None)
@given(documents_of_tokens, st.integers(3, 20))
def test_tokens_of_a_document_stay_in_order(documents: list[list[int]], width: int) -> None:
    rows = pack([np.array(d, dtype=np.uint32) for d in documents], width, BOS)
    joined = {tuple(piece) for row in rows for piece in _pieces(row)}
    spelled = {tuple(d[i:j]) for d in documents for i in range(len(d)) for j in range(i + 1, len(d) + 1)}
    assert joined <= spelled


def _pieces(row: np.ndarray) -> list[list[int]]:
    pieces: list[list[int]] = [[]]
    for token in row.tolist():
        if token == BOS:
            pieces.append([])
        else:
            pieces[-1].append(token)
    return [piece for piece in pieces if piece]


def test_little_is_wasted_on_padding() -> None:
    generator = np.random.default_rng(0)
    documents = [np.zeros(n, dtype=np.uint32) for n in generator.integers(1, 600, size=500)]
    rows = pack(documents, 65, BOS)
    bos_needed = sum(-(-len(d) // 64) for d in documents)
    assert rows.size < 1.05 * (sum(map(len, documents)) + bos_needed)


def test_packing_is_reproducible() -> None:
    documents = [np.arange(n, dtype=np.uint32) for n in (5, 90, 33, 12, 64)]
    assert (pack(documents, 20, BOS) == pack(documents, 20, BOS)).all()


def test_copies_are_dropped_and_near_copies_of_source_files_too() -> None:
    lines = [f"def function_number_{i}(argument, another): return argument * {i}" for i in range(20)]
    original = Document("\n".join(lines), "a")
    vendored = Document("# vendored\n" + "\n".join(lines[:19]), "b")
    other = Document("\n".join(line.replace("function", "procedure") for line in lines), "c")
    found = [d.source for d in unique([original, Document(original.text + "\n", "copy"), vendored, other], near=True)]
    assert found == ["a", "c"]
    assert [d.source for d in unique([original, vendored, original], near=False)] == ["a", "b"]


def test_a_document_goes_where_its_text_sends_it() -> None:
    documents = [Document(f"text {i}", f"{i}") for i in range(2000)]
    shares = [split_of(d, 0.1) for d in documents]
    assert 130 < shares.count("val") < 270
    assert 130 < shares.count("audit") < 270
    assert split_of(Document("text 1", "elsewhere"), 0.1) == shares[1]
    assert {split_of(Document(d.text, d.source, may_hold_out=False), 0.1) for d in documents} == {"train"}


def test_a_long_document_is_cut_at_line_ends_and_nothing_is_lost() -> None:
    text = "".join(f"line {i}\n" for i in range(1000))
    sections = list(cut(Document(text, "a"), 500))
    assert "".join(s.text for s in sections) == text
    assert all(s.text.endswith("\n") and len(s.text) <= 500 for s in sections)
