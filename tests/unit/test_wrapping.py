from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.render.wrapping import FEWEST_CELLS, pieces

TEXTS = st.text(st.sampled_from("ab( ,.全👩⟨e\u0301"), max_size=300)


@given(TEXTS, st.integers(FEWEST_CELLS, 80))
def test_pieces_are_the_whole_text_and_each_fits(text: str, room: int) -> None:
    found = pieces(text, room)
    assert "".join(text[start:end] for start, end, _ in found) == text
    assert all(indent + cell_len(text[start:end]) <= room for start, end, indent in found)
    assert all(end > start for start, end, _ in found[1:])
    assert (len(found) == 1) == (cell_len(text) <= room)


@given(TEXTS, st.integers(-5, FEWEST_CELLS - 1))
def test_a_column_that_is_hardly_there_breaks_nothing(text: str, room: int) -> None:
    assert pieces(text, room) == ((0, len(text), 0),)


def test_a_line_of_code_is_broken_between_words_and_goes_on_as_deep_as_it_began() -> None:
    text = "    q, k = QK_SCALE * rms_norm(q), QK_SCALE * rms_norm(k)"
    shown = [" " * indent + text[start:end] for start, end, indent in pieces(text, 40)]
    assert shown == ["    q, k = QK_SCALE * rms_norm(q), ", "    QK_SCALE * rms_norm(k)"]


def test_what_has_no_blanks_is_broken_where_the_column_ends() -> None:
    assert [end - start for start, end, _ in pieces("x" * 100, 30)] == [30, 30, 30, 10]
