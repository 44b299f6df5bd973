from __future__ import annotations

from itertools import chain, combinations

import pytest
from textual.app import App, ComposeResult

from core.patches import Patch, diff, parse
from tui.render.diff_rows import rows
from tui.widgets.diff import SEEN_SECONDS, DiffView

HOSTILE = "\x1b[31mred\x1b[0m \x1b]52;c;aGk=\x07 \x9b5m \u202eevil [/] [bold]x[/bold] \x1bc 日本語 👩‍👩‍👧 \t tab"


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class DiffApp(App[None]):
    def __init__(self, patch: Patch | None, before: str = "") -> None:
        super().__init__()
        self.patch = patch
        self.before = before
        self.clock = FakeClock()
        self.toggled: list[tuple[int, bool]] = []

    def compose(self) -> ComposeResult:
        yield DiffView(clock=self.clock)

    def on_mount(self) -> None:
        if self.patch:
            self.diff.show(rows(self.patch, {"train.py": self.before}))

    @property
    def diff(self) -> DiffView:
        return self.query_one(DiffView)

    def on_diff_view_hunk_toggled(self, event: DiffView.HunkToggled) -> None:
        self.toggled.append((event.hunk, event.kept))

    def rows(self) -> list[str]:
        return [self.diff.render_line(y).text.rstrip(" ▐") for y in range(self.diff.size.height)]


def script(functions: int = 6) -> str:
    return "".join(
        f"def step_{n}(x):\n    y = x + {n}\n" + "".join(f"    y = y * {i}\n" for i in range(8)) + "    return y\n\n\n"
        for n in range(functions)
    )


def script_patch(*, context: int = 3) -> Patch:
    """Each function gets another constant and one line more."""
    after = script()
    for n in range(6):
        after = after.replace(f"y = x + {n}\n", f"y = x + {n}.5\n    y = y - {n}\n")
    return diff({"train.py": script()}, {"train.py": after}, context)


async def settle(app: DiffApp) -> None:
    """Lets the view look, then moves the clock on and lets it look again."""
    app.diff.look()
    app.clock.now += 2 * SEEN_SECONDS
    app.diff.look()


async def test_rows_carry_numbers_signs_and_include_marks() -> None:
    app = DiffApp(script_patch(), script())
    async with app.run_test(size=(80, 24)):
        shown = app.rows()
        assert shown[0] == " train.py  +12 -6"
        assert shown[1] == "▸▌ hunk 1/6  line 2 in step_0  +2 -1"
        assert shown[2] == " ▌  1   1   def step_0(x):"
        assert shown[3] == " ▌  2     -     y = x + 0"
        assert shown[4] == " ▌      2 +     y = x + 0.5"
        assert shown[5] == " ▌      3 +     y = y - 0"


async def test_a_narrow_pane_has_one_column_of_numbers() -> None:
    app = DiffApp(script_patch(), script())
    async with app.run_test(size=(50, 24)):
        assert app.rows()[2:6] == [
            " ▌  1   def step_0(x):",
            " ▌  2 -     y = x + 0",
            " ▌  2 +     y = x + 0.5",
            " ▌  3 +     y = y - 0",
        ]


async def test_from_140_columns_on_old_and_new_stand_side_by_side() -> None:
    app = DiffApp(script_patch(), script())
    async with app.run_test(size=(140, 24)) as pilot:
        row = app.rows()[3]
        assert "-     y = x + 0 " in row
        assert "│▌  2 +     y = x + 0.5" in row
        app.diff.next_hunk()
        app.diff.next_hunk()
        await pilot.resize_terminal(100, 24)
        await pilot.pause()
        assert app.diff.cursor_hunk == 2
        assert "│" not in "".join(app.rows())


async def test_a_hunk_switched_out_says_so_in_words_and_marks() -> None:
    app = DiffApp(script_patch(), script())
    async with app.run_test(size=(100, 24)) as pilot:
        app.diff.next_hunk()
        app.diff.toggle_hunk()
        await pilot.pause()
        assert app.toggled == [(1, False)]
        assert app.diff.kept == {0, 2, 3, 4, 5}
        header = next(row for row in app.rows() if "hunk 2/6" in row)
        assert header.startswith("▸· hunk 2/6")
        assert "switched out" in header
        app.diff.toggle_hunk()
        await pilot.pause()
        assert app.toggled == [(1, False), (1, True)]
        assert "switched out" not in "".join(app.rows())


async def test_switching_hunks_from_outside_is_quiet_and_ignores_unknown_ones() -> None:
    app = DiffApp(script_patch())
    async with app.run_test(size=(100, 24)) as pilot:
        app.diff.set_kept(frozenset({0, 99}))
        await pilot.pause()
        assert app.diff.kept == {0}
        assert app.toggled == []


@pytest.mark.parametrize("context", [0, 1, 3])
def test_numbers_follow_the_hunks_that_are_kept(context: int) -> None:
    patch = script_patch(context=context)
    every = range(6)
    for kept in chain.from_iterable(combinations(every, size) for size in (0, 1, 3, 5, 6)):
        assert list(rows(patch).keeping(kept)) == list(rows(patch, kept=kept))


async def test_hunk_keys_walk_through_all_hunks_and_stop_at_the_ends() -> None:
    app = DiffApp(script_patch())
    async with app.run_test(size=(80, 12)) as pilot:
        visited = []
        for _ in range(8):
            visited.append(app.diff.cursor_hunk)
            assert any(row.startswith("▸▌ hunk") for row in app.rows())
            app.diff.next_hunk()
            await pilot.pause()
        assert visited == [0, 1, 2, 3, 4, 5, 5, 5]
        for _ in range(8):
            app.diff.previous_hunk()
            await pilot.pause()
        assert app.diff.cursor_hunk == 0


async def test_the_cursor_stays_in_view_however_the_reader_moves() -> None:
    app = DiffApp(script_patch())
    async with app.run_test(size=(80, 12)) as pilot:
        moves = [
            lambda: app.diff.scroll_line(1),
            lambda: app.diff.scroll_page(1),
            lambda: app.diff.scroll_page(0.5),
            app.diff.bottom,
            lambda: app.diff.scroll_page(-1),
            lambda: app.diff.scroll_line(-1),
            lambda: app.diff.scroll_to(y=3),
            app.diff.top,
        ]
        for move in moves:
            move()
            await pilot.pause()
            assert sum(row.startswith("▸") for row in app.rows()) == 1
        assert app.diff.cursor == 0
        assert app.diff.cursor_hunk is None


async def test_a_hunk_is_seen_when_its_last_row_has_stood_on_the_screen() -> None:
    app = DiffApp(script_patch())
    async with app.run_test(size=(80, 12)) as pilot:
        app.diff.look()
        app.clock.now += SEEN_SECONDS / 2
        app.diff.look()
        assert app.diff.seen == frozenset()
        app.clock.now += SEEN_SECONDS / 2
        app.diff.look()
        assert app.diff.seen == {0}
        assert app.rows()[1].endswith("seen")
        app.diff.bottom()
        await pilot.pause()
        await settle(app)
        assert app.diff.seen == {0, 4, 5}  # two of them end in the last eleven rows


async def test_a_hunk_that_flew_by_is_not_seen() -> None:
    app = DiffApp(script_patch())
    async with app.run_test(size=(80, 12)) as pilot:
        for _ in range(4):
            app.diff.scroll_page(1)
            await pilot.pause()
            app.clock.now += SEEN_SECONDS / 10
        assert 2 not in app.diff.seen


async def test_a_hidden_diff_sees_nothing() -> None:
    app = DiffApp(script_patch())
    async with app.run_test(size=(80, 12)) as pilot:
        app.diff.display = False
        await pilot.pause()
        await settle(app)
        assert app.diff.seen == frozenset()


async def test_another_patch_starts_afresh() -> None:
    app = DiffApp(script_patch())
    async with app.run_test(size=(80, 12)) as pilot:
        app.diff.bottom()
        await settle(app)
        app.diff.toggle_hunk()
        app.diff.find("return")
        await pilot.pause()
        other = diff({"a.py": "x = 1\n"}, {"a.py": "x = 2\n"})
        app.diff.show(rows(other))
        await pilot.pause()
        assert app.diff.seen == frozenset()
        assert app.diff.kept == {0}
        assert app.diff.cursor_hunk == 0
        assert app.rows()[0] == " a.py  +1 -1"


async def test_find_goes_around_the_end_and_back() -> None:
    app = DiffApp(script_patch())
    async with app.run_test(size=(80, 12)) as pilot:
        assert app.diff.find("Y - 3") is False  # capitals are meant
        assert app.diff.find("y - 3")
        await pilot.pause()
        assert app.diff.cursor_hunk == 3
        assert any(row.startswith("▸") and "y - 3" in row for row in app.rows())
        assert app.diff.find("y - 1")
        assert app.diff.cursor_hunk == 1
        assert app.diff.find("y - 5", backwards=True)
        assert app.diff.cursor_hunk == 5
        assert not app.diff.find("nowhere")
        assert not app.diff.find("")


async def test_moving_the_cursor_repaints_two_rows() -> None:
    app = DiffApp(script_patch())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        app.diff._exchange_repaint_regions()
        app.diff.scroll_line(1)
        regions = app.diff._exchange_repaint_regions()
        assert sorted((region.y, region.height) for region in regions) == [(1, 1), (2, 1)]


async def test_only_rows_on_the_screen_are_rendered() -> None:
    before = "".join(f"value_{i} = {i}\n" for i in range(4000))
    patch = diff({"t.py": before}, {"t.py": before.replace("7\n", "7.5\n")})
    app = DiffApp(patch)
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause()
        assert len(app.diff._strips) <= 36
        app.diff.bottom()
        await pilot.pause()
        assert len(app.diff._strips) <= 2 * 36


async def test_without_a_patch_it_says_so() -> None:
    app = DiffApp(None)
    async with app.run_test(size=(80, 12)) as pilot:
        assert app.rows()[0] == "There is no patch to show."
        for move in (app.diff.next_hunk, app.diff.toggle_hunk, app.diff.bottom, app.diff.look):
            move()
        assert not app.diff.find("x")
        await pilot.pause()
        assert app.diff.cursor_hunk is None


async def test_a_long_line_that_stays_says_that_it_goes_on_and_can_be_reached() -> None:
    before = f"x = '{'a' * 200}' + safe()\ny = 1\n"
    app = DiffApp(diff({"t.py": before}, {"t.py": before.replace("y = 1", "y = 2")}))
    async with app.run_test(size=(80, 12)) as pilot:
        line = next(row for row in app.rows() if "x = 'a" in row)
        assert line.endswith("›")
        for _ in range(12):
            app.diff.scroll_sideways(16)
        await pilot.pause()
        line = next(row for row in app.rows() if "safe()" in row)
        assert line.startswith(" ▌  1   1  ‹")
        assert " ▌      2 + y = 2" in app.rows(), "what is decided about stays where it can be read"


LONG = "loss = " + " + ".join(f"weights[{n}] * losses[{n}]" for n in range(12)) + " + danger()"


@pytest.mark.parametrize("size", [(50, 24), (80, 24), (160, 24)])
async def test_a_changed_line_is_on_the_screen_whole(size: tuple[int, int]) -> None:
    app = DiffApp(diff({"t.py": "x = 1\nend\n"}, {"t.py": f"    {LONG}\nend\n"}))
    async with app.run_test(size=size):
        shown = app.rows()
        assert "danger()" in "".join(shown)
        assert "›" not in "".join(shown)
        added = [row.rpartition("│")[2] for row in shown if "+ " in row or "+↳" in row]
        assert "1 +     loss = " in added[0]
        texts = [added[0].partition("+ ")[2], *(row.partition("+↳")[2] for row in added[1:])]
        assert all(text.startswith("    ") for text in texts), "as deep as the line began"
        assert " ".join(text.strip() for text in texts) == LONG
        assert not any("1" in row.partition("+↳")[0] for row in added[1:]), "one line has one number"


async def test_a_hunk_is_not_seen_before_the_end_of_its_last_line_is() -> None:
    app = DiffApp(diff({"t.py": "x = 1\n"}, {"t.py": f"x = 1\n{'y' * 1000}\n"}))
    async with app.run_test(size=(60, 10)) as pilot:
        await settle(app)
        assert app.diff.seen == frozenset()
        app.diff.bottom()
        await pilot.pause()
        await settle(app)
        assert app.diff.seen == {0}


async def test_find_stops_at_the_part_of_a_line_where_the_words_begin() -> None:
    app = DiffApp(diff({"t.py": "x = 1\n"}, {"t.py": f"{LONG}\nx = 1\n"}))
    async with app.run_test(size=(80, 24)):
        assert app.diff.find("danger()")
        assert "danger()" in app.rows()[app.diff.cursor]
        here = app.diff.cursor
        assert app.diff.find("losses[1]")
        assert app.diff.cursor < here
        assert "losses[1]" in app.rows()[app.diff.cursor]


async def test_a_hunk_with_long_lines_is_switched_out_as_any_other() -> None:
    app = DiffApp(diff({"t.py": "x = 1\n"}, {"t.py": f"{LONG}\nx = 1\n"}))
    async with app.run_test(size=(80, 24)):
        before = app.rows()
        app.diff.toggle_hunk()
        assert "switched out" in "".join(app.rows())
        app.diff.toggle_hunk()
        assert app.rows() == before


@pytest.mark.parametrize("size", [(1, 1), (9, 3), (40, 10), (80, 24), (160, 20)])
async def test_hostile_text_is_shown_not_obeyed_at_any_size(size: tuple[int, int]) -> None:
    text = (
        "diff --git a/train.py b/train.py\n--- a/train.py\n+++ b/train.py\n@@ -1,2 +1,3 @@ [/] [red]\n"
        f" import math\n-a = 1  # {HOSTILE}\n+a = 2  # {HOSTILE.replace('evil', 'good')}\n+b = '{'全角' * 2000}'\n"
    )
    app = DiffApp(parse(text))
    async with app.run_test(size=size) as pilot:
        app.diff.find("evil")
        app.diff.scroll_sideways(7)
        await pilot.pause()
        strips = [app.diff.render_line(y) for y in range(app.diff.size.height)]
        assert all(strip.cell_length == app.diff.size.width for strip in strips)
        assert not any(c in strip.text for strip in strips for c in "\x1b\x9b\x07\u202e\t")
        app.save_screenshot(path="/dev", filename="null")


async def test_it_tells_when_the_reader_comes_to_another_hunk_or_has_seen_more() -> None:
    told: list[tuple[int | None, int]] = []

    class Listener(DiffApp):
        def on_diff_view_read_on(self, event: DiffView.ReadOn) -> None:
            told.append((event.view.cursor_hunk, len(event.view.seen)))

    app = Listener(script_patch())
    async with app.run_test(size=(80, 12)) as pilot:
        app.diff.scroll_line(1)
        await pilot.pause()
        assert told == []
        app.diff.next_hunk()
        await pilot.pause()
        assert told == [(1, 0)]
        await settle(app)
        await pilot.pause()
        assert told[-1] == (1, len(app.diff.seen))
