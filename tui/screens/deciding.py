"""Decisions about the patch on the screen: what each key of the group does, from the press to the words after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from core.errors import LabError
from core.models import Verdict
from core.requests import Override, Request
from core.text import duration, one_line
from tui.actions import key_of
from tui.detail import Detail, resulting

if TYPE_CHECKING:
    from tui.screens.dialogs import Answer
    from tui.screens.edit import Edited
    from tui.screens.review import Review

VETOES = ("not worth a run", "tried before", "measures something else, not a better model", "too much at once")
NOTES = ("make it smaller: one idea a patch", "keep the number of parameters", "explain why this should help")


def approve(screen: Review) -> None:
    """Run it, without the hunks that are out."""
    detail, diff = _on_screen(screen), screen.panes.diff
    request = screen.desk.approve(detail, diff.kept, diff.seen)
    out = detail.hunks - len(diff.kept)
    words = "approved" if not out else f"approved without {out} of {detail.hunks} hunks"
    _decide(screen, detail, request, f"approving #{detail.experiment.id}", words)


def veto(screen: Review) -> None:
    """Ask for the reason, then never run it."""

    def answered(answer: Answer | None) -> None:
        if answer and answer.sent:
            _decide(screen, detail, screen.desk.veto(detail, answer.text), f"vetoing #{detail.experiment.id}", "vetoed")

    detail = _on_screen(screen)
    _ask(
        screen, "veto", detail, answered,
        title=f"Veto #{detail.experiment.id}: why?",
        asked="The researcher reads it and does not propose this again.",
        send="vetoes it", empty="say why in a few words: the researcher learns from it", ready=VETOES,
    )  # fmt: skip


def revise(screen: Review) -> None:
    """Ask for a note, then send it back."""

    def answered(answer: Answer | None) -> None:
        if answer and answer.sent:
            request = screen.desk.revise(detail, answer.text)
            _decide(screen, detail, request, f"sending #{detail.experiment.id} back", "sent back to the researcher")

    detail = _on_screen(screen)
    _ask(
        screen, "revise", detail, answered,
        title=f"Send #{detail.experiment.id} back: what should change?",
        asked="The researcher makes a new version of the patch from it.",
        send="sends it back", empty="say what should change: without it the researcher cannot know", ready=NOTES,
    )  # fmt: skip


def defer(screen: Review) -> None:
    """To the end of the queue."""
    detail = _on_screen(screen)
    number = detail.experiment.id

    def done(answer: Mapping[str, Any]) -> None:
        screen.desk.release()
        screen.toast(f"#{number} waits at the end of the queue")

    screen.send(screen.desk.defer(number), f"deferring #{number}", done)


def undo(screen: Review) -> None:
    """Take the last decision back."""
    number = screen.desk.undoable(screen.lab)
    assert number is not None

    def done(answer: Mapping[str, Any]) -> None:
        if number in screen.desk.decided:
            screen.desk.decided.remove(number)
        screen.open(number)
        screen.toast(f"#{number}: the decision is taken back, it waits again")

    screen.send(screen.desk.undo(number), f"taking #{number} back", done)


def edit(screen: Review) -> None:
    """Edit the result in place, at the hunk under the cursor."""
    detail = _on_screen(screen)
    path, line = place(detail, screen.panes.diff.kept, screen.panes.diff.cursor_hunk)
    _edit(screen, detail, _begun(screen, detail), path, line, check=False)


def edit_outside(screen: Review) -> None:
    """Edit the result in the person's own editor, then look at it here."""
    from tui.screens.outside import edit as edit_with

    detail = _on_screen(screen)
    path, line = place(detail, screen.panes.diff.kept, screen.panes.diff.cursor_hunk)
    files = _begun(screen, detail)
    try:
        after = edit_with(screen.app, path, files[path], line)
    except LabError as error:
        screen.toast(error.message, error.hint, severity="error")
        return
    if after == files[path]:
        screen.toast(f"{one_line(path, 40)} was left as it was")
    else:
        _edit(screen, detail, {**files, path: after}, path, line, check=True)


def override(screen: Review) -> None:
    """A human's verdict over the measured one, with a reason."""
    from tui.screens.dialogs import Choice, Choose, TextDialog

    shown = _on_screen(screen).experiment

    def chosen(verdict: str | None) -> None:
        if verdict is None:
            return
        title = f"#{shown.id} {verdict}: why?"
        asked = "It stands over the measured verdict and is left out of the claim statistics."
        dialog = TextDialog(title, asked, send=f"makes it {verdict}", empty="an override needs a reason")
        screen.app.push_screen(dialog, lambda answer: answered(Verdict(verdict), answer))

    def answered(verdict: Verdict, answer: Answer | None) -> None:
        if answer and answer.sent:
            request = Override(shown.id, verdict, answer.text, seconds=round(screen.desk.seconds, 1))
            screen.send(
                request, f"settling #{shown.id}", lambda result: screen.toast(f"#{shown.id} is {verdict}, by hand")
            )

    meanings = {
        Verdict.KEEP: "it becomes the champion",
        Verdict.DISCARD: "measured, and not worth keeping",
        Verdict.VOID: "the result does not count",
    }
    choices = [Choice(verdict, str(verdict), meaning) for verdict, meaning in meanings.items()]
    screen.app.push_screen(Choose(f"Your verdict on #{shown.id}", choices, present=str(shown.verdict)), chosen)


ACTIONS: Mapping[str, Callable[[Review], None]] = {
    "approve": approve,
    "veto": veto,
    "revise": revise,
    "defer": defer,
    "undo": undo,
    "override": override,
    "edit": edit,
    "edit_outside": edit_outside,
}


# ---- plumbing ------------------------------------------------------------------------------------------------------


def _on_screen(screen: Review) -> Detail:
    assert screen.detail is not None  # the actions say why they cannot act before they come here
    return screen.detail


def _decide(screen: Review, detail: Detail, request: Request, busy: str, words: str) -> None:
    """Send a decision; when it is taken, the next proposal comes up."""
    number = detail.experiment.id

    def done(answer: Mapping[str, Any]) -> None:
        desk = screen.desk
        desk.decided.append(number)
        for name in (f"veto-{number}", f"revise-{number}"):  # an edit is kept: undone, one goes on with it
            desk.drafts.drop(name)
        if desk.shown == number:
            desk.release()
        hold = answer.get("hold_until")
        left = max(0.0, hold - screen.client.now()) if isinstance(hold, int | float) else None
        soonest = f", in {duration(left)} at the earliest" if left is not None else ""
        until = f" until it starts{soonest}" if words.startswith("approved") else ""
        screen.toast(f"#{number} {words} · {key_of('undo')} takes it back{until}")

    screen.send(request, busy, done)


def _ask(
    screen: Review,
    kind: str,
    detail: Detail,
    answered: Callable[[Answer | None], None],
    *,
    title: str,
    asked: str,
    send: str,
    empty: str,
    ready: tuple[str, ...],
) -> None:
    """A dialog for words; what was typed and not sent is there again the next time."""
    from tui.screens.dialogs import TextDialog

    name, drafts = f"{kind}-{detail.experiment.id}", screen.desk.drafts
    asked = f"{one_line(detail.experiment.title, 70)}\n{asked}"
    dialog = TextDialog(
        title, asked, send=send, empty=empty, ready=ready, draft=drafts.words(name), keep=partial(drafts.keep, name)
    )
    screen.app.push_screen(dialog, answered)


def _begun(screen: Review, detail: Detail) -> dict[str, str]:
    """The files as the edit of this patch was left, or as the patch makes them."""
    return screen.desk.drafts.files(_edit_name(detail)) or resulting(detail, screen.panes.diff.kept)


def _edit_name(detail: Detail) -> str:
    """The draft of an edit belongs to one version of a patch."""
    return f"edit-{detail.experiment.id}-{(detail.experiment.patch_sha256 or '')[:16]}"


def _edit(screen: Review, detail: Detail, files: dict[str, str], path: str, line: int, *, check: bool) -> None:
    from tui.screens.edit import EditScreen

    name, drafts, number = _edit_name(detail), screen.desk.drafts, detail.experiment.id
    proposed = resulting(detail, screen.panes.diff.kept)

    def keep(after: dict[str, str]) -> None:
        drafts.keep(name, after if after != proposed else "")

    def closed(result: Edited | None) -> None:
        if result is None:
            return
        keep(result.files)  # until the engine has it
        if result.patch:
            diff = screen.panes.diff
            request = screen.desk.approve(detail, diff.kept, diff.seen, edited=result.patch)
            _decide(screen, detail, request, f"approving #{number}", "approved as edited")
        elif result.files != proposed:
            screen.toast(f"the edit of #{number} is kept: {key_of('edit')} goes on with it")

    screen.app.push_screen(EditScreen(detail, files, path, line, check=check, keep=keep), closed)


def place(detail: Detail, kept: frozenset[int], at: int | None) -> tuple[str, int]:
    """The file and the line, from 1, where the hunk under the cursor stands in the result."""
    from core.patches import select

    assert detail.patch is not None
    hunks = detail.patch.hunks
    hunk = hunks[at if at is not None and at < len(hunks) else 0]
    same = [h for h in select(detail.patch, kept).hunks if (h.path, h.old_start) == (hunk.path, hunk.old_start)]
    start = same[0].new_start if same else hunk.old_start
    context = next((n for n, line in enumerate(hunk.lines) if line[0] in "+-"), 0)
    return hunk.path, max(1, start + context)
