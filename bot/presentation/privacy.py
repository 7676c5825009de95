"""What people see when they ask for their own data, or for its deletion."""

import re

from discord import ButtonStyle, ui

from bot.domain.store import Forgotten
from bot.presentation.layout import Accent, Layout, boxed, plain, text
from bot.presentation.words import counted

ARCHIVE = "gallop-data.zip"
NOTHING_KEPT = "Gallop keeps nothing about you."
BEING_MADE = "Your data is being put together already; it comes in your other answer."
TOO_LARGE = (
    "Discord does not take a file as large as your data here, not even a smaller one without videos.\n"
    "Ask again in a server that takes larger files."
)
NOT_SENT = "Discord did not take the file just now. Try again in a minute."
NOT_ASKED = "Only the person who asked for this may press it. Nothing was deleted."
DELETE_ID = re.compile(r"gallop:delete-my-data:(?P<user_id>\d{1,20})")


def export_card(*, jobs: int, deleted: int, pictures: int, videos: int, no_room: int) -> Layout:
    """Return what accompanies the file: what is in it, and that `no_room` files were left out for want of room.

    `deleted` of the jobs have no content any more.
    """
    files = " and ".join(counted(count, thing) for count, thing in ((pictures, "picture"), (videos, "video")) if count)
    held = f"your {counted(jobs, 'job')} with prompts, options, times and amounts, your ledger, " if jobs else "your "
    lines = [
        f"`data.json` holds {held}settings, grants and blocks.",
        f"{counted(deleted, 'job')} of these {'is' if deleted == 1 else 'are'} deleted: no prompt, no files."
        if deleted
        else "",
        f"Beside it: {files}." if files else "",
    ]
    if no_room:
        left = "1 file does" if no_room == 1 else f"{no_room:,} files do"
        lines.append(
            f"{left} not fit into what Discord takes here; `data.json` names them. `/video show` brings each video."
        )
    lines.append("Only you see this. Save the file: Discord removes it with this answer.")
    return plain(text("**Your data**", *lines), ui.File(f"attachment://{ARCHIVE}"))


def deletion_card(user_id: int) -> Layout:
    """Return the question that is asked first: what exactly will happen, and the button that does it."""
    what = (
        "- Prompts, pictures and videos of all your jobs are deleted. They leave `/video history`, and `/video show` "
        "cannot bring them again.",
        "- Jobs in line are cancelled and their price is released.",
        "- Jobs that a gateway has, or may have, cannot be stopped: they go on as usual and are deleted after their "
        "end.",
        "- What you set for yourself with `/video quota` goes, too: your own limits, and when you are asked first.",
        "- Amounts, times, options and ids stay in the bot's books, and so does what a server's managers decided; "
        "prompts, pictures and videos do not. What you have used of your limits stays used.",
        "- Messages already posted stay. Moderators can delete those in channels; gateways keep what they were sent "
        "by their own rules.",
    )
    return boxed(
        Accent.RED,
        text("**Delete your data?**", *what),
        text("It cannot be undone. `/video privacy export` gives you a copy first."),
        ui.ActionRow(
            ui.Button(label="Delete my data", style=ButtonStyle.danger, custom_id=f"gallop:delete-my-data:{user_id}")
        ),
    )


def deleted_card(forgotten: Forgotten) -> Layout:
    """Return what the deletion did."""
    if forgotten == Forgotten(0, 0, 0):
        return boxed(Accent.GREY, text("There was nothing to delete."))
    cancelled = f"{counted(forgotten.cancelled, 'job')} in line cancelled, the price released."
    erased = f"{counted(forgotten.erased, 'job')} deleted, with prompt, pictures and video."
    later = f"{counted(forgotten.later, 'job')} not over yet: deleted soon after the end."
    settings = "What you had set with `/video quota` is deleted."
    counts = (
        (forgotten.cancelled, cancelled),
        (forgotten.erased, erased),
        (forgotten.later, later),
        (forgotten.settings, settings),
    )
    is_deleted = forgotten.cancelled or forgotten.erased or not forgotten.later
    title = "**Your data is deleted**" if is_deleted else "**Your data will be deleted**"
    return boxed(Accent.GREY, text(title, *(line for count, line in counts if count)))
