"""Everything a person can do, once: the keys, the footer, `?`, the palette and README's table all come from here.

`python -m tui.actions --markdown` prints the table of keys. An action's id is what a user's key map names.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

from core.models import Experiment, State

GROUPS = {
    "decide": "Decide about the patch on the screen",
    "read": "Read",
    "lab": "Steer the lab",
    "screen": "Find your way",
    "experiments": "On the Experiments screen",
    "compare": "On the Compare screen",
    "live": "On the Live screen",
    "researcher": "On the Researcher screen",
    "decisions": "On the Decisions screen",
    "versions": "On the Versions screen",
}
KEYMAP: ContextVar[Mapping[str, str]] = ContextVar("KEYMAP")
"""the key map of the app that this code draws for: a sentence that names a key names the user's key"""
UNDOABLE = (State.APPROVED, State.VETOED, State.REVISING)


@dataclass(frozen=True, slots=True)
class View:
    """What is on the screen, as far as it decides which actions can act. Reasons are empty where nothing is amiss."""

    shown: Experiment | None = None
    read_only: str = ""
    """why nothing may be changed at all"""
    engine: str = ""
    """why the engine cannot take a request"""
    can_start: bool = False
    """an engine can be started from here"""
    busy: str = ""
    """the request that is under way"""
    loading: bool = False
    """the patch is still being read"""
    hidden: str = ""
    """why what would be decided is not on the screen"""
    hunks_hidden: str = ""
    """why the hunks are not"""
    problem: str = ""
    """why what is left of the patch cannot run"""
    hunks: int = 0
    versions: int = 0
    """of the patch"""
    kept: frozenset[int] = frozenset()
    waiting: int = 0
    """proposals in the review queue"""
    undo: int | None = None
    """the experiment whose decision `u` takes back"""
    run: int | None = None
    """the live run"""
    paused: bool = False
    curves: bool = False
    """the chart is on the screen"""
    no_curve: str = ""
    """why there is no curve to look at"""
    curve_count: int = 0
    runs: int = 0
    """live runs"""
    log: bool = False
    """there is a run whose log can be read"""
    nothing_to_find: str = ""
    """why there is no text to find words in"""
    older: bool = False
    newer: bool = False
    at: int | None = None
    """the experiment under the cursor of the table"""
    marked: int = 0
    """experiments marked to be compared"""
    sides: int = 0
    """runs whose curves are being compared"""
    pairs: int = 0
    """pairs whose code can be compared"""
    seeds: int = 0
    """seeds they were made on"""
    reviews: int = 0
    """reviews so far"""
    ruled: bool = False
    """the autonomy dial decided some of them"""
    sought: bool = False
    """words are being sought in a pane"""


Why = Callable[[View], str]


def always(view: View) -> str:
    return ""


def steer(view: View) -> str:
    """Why no request can be made."""
    return view.read_only or view.engine or (f"wait: {view.busy}" if view.busy else "")


def decide(view: View) -> str:
    """Why no decision can be taken on what is shown."""
    if view.read_only:
        return view.read_only
    if view.loading:
        return "the patch is still being read"
    if view.shown is None:
        return "nothing is waiting for a decision"
    if view.hidden:
        return view.hidden
    if view.shown.state is not State.PROPOSED:
        return f"#{view.shown.id} is {view.shown.state}: only a waiting proposal can be decided"
    return steer(view)


def approve(view: View) -> str:
    if reason := decide(view):
        return reason
    if view.hunks and not view.kept:
        return "every hunk is switched out: nothing would be left to run (v vetoes it)"
    return view.problem


def edit(view: View) -> str:
    if reason := decide(view):
        return reason
    return "" if view.hunks else "there is no patch to edit (r sends it back)"


def hunk(view: View) -> str:
    if view.shown is None or not view.hunks:
        return "there is no hunk here"
    if view.shown.state is not State.PROPOSED:
        return f"#{view.shown.id} is {view.shown.state}: its hunks are settled"
    return view.hunks_hidden or view.read_only


def diff(view: View) -> str:
    return "" if view.hunks else "there is no hunk here"


def defer(view: View) -> str:
    if reason := decide(view):
        return reason
    return "" if view.waiting > 1 else "nothing else waits: it would come straight back"


def override(view: View) -> str:
    if view.shown is None or view.shown.state is not State.JUDGED:
        return "only a judged experiment has a verdict to settle"
    return steer(view)


def undo(view: View) -> str:
    return steer(view) or ("" if view.undo is not None else "there is no decision that can still be taken back")


def stop_run(view: View) -> str:
    return steer(view) or ("" if view.run is not None else "nothing is running")


def restart(view: View) -> str:
    if view.read_only:
        return view.read_only
    if not view.engine:
        return "the engine is running"
    return "" if view.can_start else "start it from a shell: autoresearch-tui LAB"


def curves(view: View) -> str:
    if view.no_curve:
        return view.no_curve
    return "" if view.curves else f"{key_of('pane_curves')} shows the curves first"


def several_curves(view: View) -> str:
    return view.no_curve or ("" if view.curve_count > 1 else "the run logs only one curve")


def other_runs(view: View) -> str:
    return "" if view.runs > 1 else "only one run is live" if view.runs else "nothing is running"


def find(view: View) -> str:
    return view.nothing_to_find


def logged(view: View) -> str:
    return "" if view.log else "no run has started: there is no log yet"


def of_experiment(view: View) -> str:
    return "" if view.at is not None else "this run belongs to no experiment"


def older(view: View) -> str:
    return "" if view.older else "this is the oldest experiment"


def newer(view: View) -> str:
    return "" if view.newer else "this is the newest experiment"


def on_a_row(view: View) -> str:
    return "" if view.at is not None else "no experiment is listed"


def comparable(view: View) -> str:
    return "" if view.shown or view.at is not None or view.marked else "there is no experiment to compare"


def unmark(view: View) -> str:
    return "" if view.marked else f"nothing is marked ({key_of('mark')} marks)"


def sides(view: View) -> str:
    return "" if view.sides else "there is no curve to look at"


def pairs(view: View) -> str:
    return "" if view.pairs > 1 else "there is only one pair"


def versions(view: View) -> str:
    if view.shown is None:
        return "nothing is shown"
    return "" if view.versions > 1 else "this patch has only one version"


def seeds(view: View) -> str:
    return "" if view.seeds > 1 else "there is no other seed that all of them ran on"


def decided(view: View) -> str:
    return "" if view.reviews else "nothing was decided yet"


def ruled(view: View) -> str:
    return "" if view.ruled else "the autonomy dial has let nothing through yet"


def sought(view: View) -> str:
    return "" if view.sought else f"nothing is being sought ({key_of('find')} finds)"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing a person can do."""

    id: str
    keys: str
    """Textual's names of the keys, separated by commas; empty: only in the palette"""
    label: str
    """one or two words, for the footer"""
    help: str
    """a sentence"""
    group: str
    why_disabled: Why = field(default=always)
    decides: bool = False
    """ends the life of what is on the screen: inert for a moment after something new has come up"""


ACTIONS = (
    Action(
        "approve", "a", "approve", "Run the patch, without the hunks that are switched out", "decide", approve, True
    ),
    Action("edit", "e", "edit", "Edit the resulting file here, at the hunk under the cursor", "decide", edit),
    Action("edit_outside", "E", "editor", "Edit it in $VISUAL or $EDITOR", "decide", edit),
    Action("revise", "r", "revise", "Send it back to the researcher with a note", "decide", decide, True),
    Action("veto", "v", "veto", "Never run it, with the reason the researcher gets to read", "decide", decide, True),
    Action("toggle_hunk", "space", "hunk", "Switch the hunk under the cursor out, or in again", "decide", hunk),
    Action("defer", "d", "defer", "Put it at the end of the queue", "decide", defer, True),
    Action("undo", "u", "undo", "Take the last decision back; possible until the run starts", "decide", undo),
    Action("override", "", "settle the verdict", "Put your verdict over the measured one", "decide", override),
    Action("next_hunk", "n", "next hunk", "Next hunk; after / the next match", "read", diff),
    Action("previous_hunk", "p", "previous hunk", "Previous hunk; after / the previous match", "read", diff),
    Action("down", "j,down", "down", "One line down", "read"),
    Action("up", "k,up", "up", "One line up", "read"),
    Action("top", "g,home", "top", "To the first line", "read"),
    Action("bottom", "G,end", "bottom", "To the last line", "read"),
    Action("half_down", "ctrl+d", "half a page down", "Half a page down", "read"),
    Action("half_up", "ctrl+u", "half a page up", "Half a page up", "read"),
    Action("page_down", "pagedown", "page down", "A page down", "read"),
    Action("page_up", "pageup", "page up", "A page up", "read"),
    Action("left", "left", "left", "Scroll to the left, where lines are longer than the pane", "read"),
    Action("right", "right", "right", "Scroll to the right", "read"),
    Action("older", "h", "older", "The experiment before this one", "read", older),
    Action("newer", "l", "newer", "The experiment after this one", "read", newer),
    Action("versions", "V", "versions", "What changed from one version of this patch to the next", "read", versions),
    Action("find", "slash", "find", "Find words in the pane; n and p go on, Esc ends it", "read", find),
    Action("curve", "c", "next curve", "Another curve: loss, learning rate, gradient norm, …", "read"),
    Action("log_scale", "L", "log scale", "Logarithmic or plain height of the curve", "read", curves),
    Action("smoother", "right_square_bracket", "smoother", "A smoother curve", "read", curves),
    Action("rougher", "left_square_bracket", "rougher", "A rougher curve", "read", curves),
    Action("axis", "x", "axis", "The curve over time, steps, or the share of the budget", "read", curves),
    Action("autonomy", "A", "autonomy", "The dial: which patches wait for you", "lab", steer),
    Action("pause", "P", "pause", "Start no run after the current one, or start them again", "lab", steer),
    Action("stop_run", "K", "stop run", "End the run that is under way; asks first", "lab", stop_run),
    Action("message", "m", "message", "Tell the researcher something; its next proposal answers", "lab", steer),
    Action("idea", "i", "idea", "Give the researcher an idea to turn into a patch", "lab", steer),
    Action("restart_engine", "S", "start engine", "Start the engine again when it is down", "lab", restart),
    Action("pane_diff", "1", "diff", "The whole diff", "screen"),
    Action("pane_why", "2", "why", "Hypothesis, rationale, risks, reviews and runs", "screen"),
    Action("pane_curves", "3", "curves", "Live curve over the champion's, and the devices", "screen"),
    Action("pane_log", "4", "log", "What the training script printed", "screen"),
    Action("pane_list", "0", "list", "The queue and every experiment so far", "screen"),
    Action("experiments", "5", "experiments", "All experiments: table, progress, lineage, search", "screen"),
    Action("compare", "6", "compare", "What is shown beside its champion: curves, numbers, code", "screen", comparable),
    Action("live", "7", "live", "What runs now: curves, devices, phases, log", "screen"),
    Action("researcher", "8", "researcher", "The researcher: what it does, notebook, messages, cost", "screen"),
    Action("decisions", "9", "decisions", "Every review: by whom, why, how fast, and what came of it", "screen"),
    Action("next_pane", "tab", "next pane", "Next pane", "screen"),
    Action("previous_pane", "shift+tab", "previous pane", "Previous pane", "screen"),
    Action("zoom", "z", "zoom", "The pane alone, as large as the screen; again to go back", "screen"),
    Action("open", "enter", "open", "In a list: show the experiment there. Never decides", "screen"),
    Action("back", "escape", "back", "End the search, the zoom, the list; back. Never decides", "screen"),
    Action("palette", "colon", "commands", "Every command by name", "screen"),
    Action("help", "question_mark", "help", "This page", "screen"),
    Action("tour", "", "tour", "The five steps of the first opening, once more", "screen"),
    Action("detach", "q", "detach", "Leave the screen; the engine and the run go on", "screen"),
)
EXPERIMENTS = (
    Action("mark", "space", "mark", "Mark the experiment under the cursor to be compared, or unmark it; up to six",
           "experiments", on_a_row),
    Action("compare_marked", "c", "compare", "Compare the marked ones, or this one with its champion",
           "experiments", comparable),
    Action("unmark", "M", "unmark all", "Take all marks away", "experiments", unmark),
    Action("sort", "s", "sort", "Sort by the next column", "experiments"),
    Action("reverse", "o", "reverse", "The other way round", "experiments"),
    Action("filter_outcome", "f", "filter", "Only one outcome: waiting, kept, discarded, …", "experiments"),
    Action("filter_author", "b", "by author", "Only what one author proposed", "experiments"),
)  # fmt: skip
COMPARE = (
    Action("earlier", "left", "back", "The crosshair to the left: every curve's value there", "compare", sides),
    Action("later", "right", "crosshair", "The crosshair to the right", "compare", sides),
    Action("zoom_in", "plus,equals_sign", "closer", "Closer, around the crosshair", "compare", sides),
    Action("zoom_out", "minus", "farther", "Farther", "compare", sides),
    Action("zoom_reset", "0", "whole", "The whole curves, no crosshair", "compare", sides),
    Action("next_seed", "s", "seed", "The runs on another seed", "compare", seeds),
    Action("next_pair", "d", "next pair", "The code of another pair", "compare", pairs),
)
LIVE = (
    Action("large_next", "c", "large curve", "The next curve becomes the large one", "live", several_curves),
    Action("large_previous", "C", "curve before", "The curve before it becomes the large one", "live", several_curves),
    Action("whole_curve", "w", "whole height", "The start of the curves decides their height too, or no longer",
           "live", curves),
    Action("plain_curves", "0", "plain", "The curves as at first: plain, not smoothed, over time",
           "live", curves),
    Action("run_next", "l", "next run", "The next of the runs that are live", "live", other_runs),
    Action("run_previous", "h", "run before", "The one before it", "live", other_runs),
    Action("follow", "f", "follow", "Follow the end of the log, or stay where it is", "live", logged),
    Action("run_experiment", "enter", "experiment", "The run's experiment on the Review screen. Never decides",
           "live", of_experiment),
)  # fmt: skip
RESEARCHER = (
    Action("next_match", "n", "next match", "After /: the next place with the words", "read", sought),
    Action("previous_match", "p", "previous match", "After /: the place before", "read", sought),
)
DECISIONS = (
    Action("filter_decision", "f", "filter", "Only one decision: approved, edited, sent back, …", "decisions", decided),
    Action("filter_person", "b", "by person", "Only what one person decided", "decisions", decided),
    Action("filter_rule", "t", "let through", "Only what the dial let through, then by which rule",
           "decisions", ruled),
)  # fmt: skip
VERSIONS = (
    Action("version_before", "h", "step before", "What an earlier step changed in the patch", "versions", pairs),
    Action("version_after", "l", "next step", "What the next step changed in it", "versions", pairs),
)
MOVING = ("down", "up", "top", "bottom", "half_down", "half_up", "page_down", "page_up")
PLACES = (
    "pane_diff",
    "pane_why",
    "pane_curves",
    "pane_log",
    "experiments",
    "compare",
    "live",
    "researcher",
    "decisions",
    "back",
    "palette",
    "help",
    "detach",
)
PANES = ("next_pane", "previous_pane", "zoom")
EVERY = (*ACTIONS, *EXPERIMENTS, *COMPARE, *LIVE, *RESEARCHER, *DECISIONS, *VERSIONS)
BY_ID = {action.id: action for action in EVERY}
ON_EXPERIMENTS = (
    *EXPERIMENTS, *(BY_ID[name] for name in (*MOVING, "open", "find", "pane_list", *PANES, *PLACES)),
)  # fmt: skip
ON_COMPARE = (
    *COMPARE,
    *(BY_ID[name] for name in ("curve", "axis", "log_scale", "smoother", "rougher", "next_hunk", "previous_hunk")),
    *(BY_ID[name] for name in (*MOVING, *PANES, *PLACES)),
)
ON_LIVE = (
    *LIVE,
    *(BY_ID[name] for name in ("log_scale", "smoother", "rougher", "axis", "find", "next_match", "previous_match")),
    *(BY_ID[name] for name in ("left", "right", *MOVING, "stop_run", "pause", "restart_engine", *PANES, *PLACES)),
)
ON_RESEARCHER = (
    *(BY_ID[name] for name in ("message", "idea", "restart_engine")),
    *RESEARCHER, *(BY_ID[name] for name in ("find", *MOVING, *PANES, *PLACES)),
)  # fmt: skip
ON_DECISIONS = (*DECISIONS, *(BY_ID[name] for name in (*MOVING, "open", "find", *PANES, *PLACES)))
ON_VERSIONS = (
    *VERSIONS, *(BY_ID[name] for name in ("next_hunk", "previous_hunk", "left", "right", *MOVING, *PLACES)),
)  # fmt: skip
"""what can be done on a screen; the Review screen has ACTIONS"""

KEY_NAMES = {
    "slash": "/",
    "colon": ":",
    "question_mark": "?",
    "plus": "+",
    "equals_sign": "=",
    "minus": "-",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "escape": "Esc",
    "enter": "Enter",
    "pagedown": "PgDn",
    "pageup": "PgUp",
    "home": "Home",
    "end": "End",
    "down": "↓",
    "up": "↑",
    "left": "←",
    "right": "→",
    "tab": "Tab",
    "shift+tab": "Shift+Tab",
}


def keys_of(action: Action, keymap: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The keys of an action as people call them, under a user's key map: this one, or else that of the app."""
    keys = (KEYMAP.get({}) if keymap is None else keymap).get(action.id, action.keys)
    return tuple(KEY_NAMES.get(key, key) for key in keys.split(",") if key)


def key_of(action_id: str, keymap: Mapping[str, str] | None = None) -> str:
    """The first key of an action, for a sentence that names it; `:` where it has none."""
    return next(iter(keys_of(BY_ID[action_id], keymap)), ":")


def markdown(groups: Iterable[str] = GROUPS) -> str:
    """The table of the keys of these groups."""
    lines = ["| key | what it does |", "|---|---|"]
    for group in groups:
        rows = [action for action in EVERY if action.group == group]
        lines += [f"| | **{GROUPS[group]}** |"] if rows else []
        lines += [
            f"| {' '.join(f'`{key}`' for key in keys_of(action, {})) or '`:`'} | {action.help} |" for action in rows
        ]
    return "\n".join(lines)


def listed(actions: Iterable[Action] = EVERY) -> str:
    """The names for `[screen.keymap]`, with the keys as they are."""
    return "\n".join(f'{action.id} = "{action.keys}"' for action in actions)


if __name__ == "__main__":
    if sys.argv[1:] not in (["--markdown"], ["--ids"]):
        sys.exit("usage: python -m tui.actions --markdown | --ids")
    print(markdown() if sys.argv[1] == "--markdown" else listed())
