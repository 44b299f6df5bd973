"""Reading: hunks, history, curves, panes, find; help and the commands by name. None of it changes anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from core.text import one_line
from tui.actions import key_of
from tui.screens.go import Go
from tui.widgets.find_field import FindField

if TYPE_CHECKING:
    from tui.screens.review import Review


def toggle_hunk(screen: Review) -> None:
    """Out, or in again; the screen hears of it and checks what is left."""
    screen.panes.diff.toggle_hunk()


def next_hunk(screen: Review) -> None:
    """The next hunk; the next match while something is sought."""
    if screen.finding:
        find_again(screen)
    else:
        screen.panes.diff.next_hunk()


def previous_hunk(screen: Review) -> None:
    if screen.finding:
        find_again(screen, backwards=True)
    else:
        screen.panes.diff.previous_hunk()


def older(screen: Review) -> None:
    if (found := screen.desk.neighbour(screen.lab, -1)) is not None:
        screen.open(found)


def newer(screen: Review) -> None:
    if (found := screen.desk.neighbour(screen.lab, 1)) is not None:
        screen.open(found)


def curve(screen: Review) -> None:
    """Another curve of the run in view."""
    run = screen.run_in_view
    names = screen.client.curve_names(run.id) if run else []
    if names:
        screen.curve = names[(names.index(screen.curve) + 1) % len(names)] if screen.curve in names else names[0]
        screen.drawing.run()


def open_row(screen: Review) -> None:
    """Show the experiment under the list's cursor."""
    found = screen.panes.experiments.cursor_id
    if screen.panes.current == "list" and found is not None:
        screen.open(found)


def back(screen: Review) -> None:
    """One step back: out of the search, the zoom, the list; then to the screen where it was opened, or the queue."""
    if screen.finding or _asks(screen):
        screen.finding = ""
        close_find(screen)
    elif not screen.panes.leave() and screen.desk.pinned:
        screen.desk.release()
        screen.lab_changed(screen.lab)
        screen.post_message(Go("back"))


# ---- finding -------------------------------------------------------------------------------------------------------


def find(screen: Review) -> None:
    """Ask for words to find in the current pane."""
    if screen.panes.scrolls is None:
        screen.toast("there is nothing to search in this pane", severity="warning")
        return
    if screen.find_field is None:
        screen.find_field = FindField("find")
        screen.mount(screen.find_field, before="#keys")
    screen.find_field.ask()


def found(screen: Review, words: str) -> None:
    """The words to find were given."""
    screen.finding = words.strip()
    close_find(screen)
    if screen.finding:
        find_again(screen)


def find_again(screen: Review, *, backwards: bool = False) -> None:
    pane = screen.panes.scrolls
    if pane is not None and not pane.find(screen.finding, backwards=backwards):
        screen.toast(f"not found: {one_line(screen.finding, 40)}", severity="warning")
        screen.finding = ""
    screen.drawing.keys()


def close_find(screen: Review) -> None:
    if screen.find_field is not None:
        screen.find_field.close()
    screen.drawing.keys()


def _asks(screen: Review) -> bool:
    """Words to find are being typed."""
    return screen.find_field is not None and screen.find_field.display


# ---- help ----------------------------------------------------------------------------------------------------------


def help_page(screen: Review) -> None:
    from tui.screens.help import Help

    screen.app.push_screen(Help(screen.view, screen.keymap))


def palette(screen: Review) -> None:
    """Every command by name. Enter runs it, but never approves."""
    from tui.screens.help import Palette

    def chosen(action_id: str | None) -> None:
        if action_id == "approve":
            key = key_of("approve", screen.keymap)
            screen.toast(f"press {key} with the patch in sight: Enter never decides")
        elif action_id is not None:
            screen.action_act(action_id)

    screen.app.push_screen(Palette(screen.view, screen.keymap), chosen)


def tour(screen: Review) -> None:
    from tui.widgets.tour import Tour

    if screen.tour_strip is None:
        screen.tour_strip = Tour()
        screen.mount(screen.tour_strip, before="#keys")
    screen.tour_strip.begin()


def tour_takes(screen: Review, action_id: str) -> bool:
    """Enter and Esc belong to the tour while its strip is there and nothing else wants them."""
    strip = screen.tour_strip
    if strip is None or not strip.is_on or _asks(screen):
        return False
    if action_id == "back":
        strip.leave()
    elif action_id == "open" and screen.panes.current != "list":
        strip.next()
    else:
        return False
    return True


def compare(screen: Review) -> None:
    """What is shown beside the champion it is measured against."""
    if screen.desk.shown is not None:
        screen.post_message(Go("compare", (screen.desk.shown,)))


def versions(screen: Review) -> None:
    """How the patch on the screen became what it is."""
    if screen.desk.shown is not None:
        screen.post_message(Go("versions", (screen.desk.shown,)))


def go(place: str) -> Callable[[Review], None]:
    """The way to another screen."""

    def on(screen: Review) -> None:
        screen.post_message(Go(place))

    return on


ACTIONS: Mapping[str, Callable[[Review], None]] = {
    "experiments": go("experiments"),
    "compare": compare,
    "versions": versions,
    "live": go("live"),
    "researcher": go("researcher"),
    "decisions": go("decisions"),
    "toggle_hunk": toggle_hunk,
    "next_hunk": next_hunk,
    "previous_hunk": previous_hunk,
    "older": older,
    "newer": newer,
    "curve": curve,
    "log_scale": lambda screen: screen.panes.chart.toggle_log(),
    "smoother": lambda screen: screen.panes.chart.smooth(1),
    "rougher": lambda screen: screen.panes.chart.smooth(-1),
    "axis": lambda screen: screen.panes.chart.next_axis(),
    "next_pane": lambda screen: screen.panes.cycle(1),
    "previous_pane": lambda screen: screen.panes.cycle(-1),
    "zoom": lambda screen: screen.panes.zoom(),
    "open": open_row,
    "back": back,
    "find": find,
    "help": help_page,
    "palette": palette,
    "tour": tour,
}
