"""Turns every refusal into words: what is wrong, that nothing was held, and what to do now; three lines at most."""

from functools import singledispatch

from bot.domain.binding import BindProblem, BindRejected
from bot.domain.errors import (
    DeliveryFailed,
    DirectMessagesClosed,
    GatewayRejected,
    InvariantBroken,
    NotAnOperator,
    NotYourJob,
    OptionRejected,
    Paused,
    PictureCountRejected,
    PictureGapRejected,
    PictureProblem,
    PictureRejected,
    PlaceRejected,
    PromptProblem,
    PromptRejected,
    QuotaExceeded,
    RequestRejected,
    StoreFailed,
    TooLateToCancel,
    TooManyFailures,
    TooManyPreviews,
    Unavailable,
)
from bot.domain.money import show_usd
from bot.domain.quota import LimitKind, Measure
from bot.domain.request import Mode
from bot.presentation.limit_words import forbids, left_words, source_behind
from bot.presentation.markdown import shown
from bot.presentation.refusals import REFUSALS
from bot.presentation.words import MODE_WORDS, capital, counted, date, listed, stamp, until

_PICTURES = {
    PictureProblem.NOT_A_PICTURE: ("{number} is no picture that can be used.", "Send it as JPEG, PNG or WEBP."),
    PictureProblem.EMPTY: ("{number} is empty: 0 bytes.", "Attach it again."),
    PictureProblem.DAMAGED: ("{number} is damaged or incomplete.", "Save it anew and attach it again."),
    PictureProblem.UNREADABLE: ("{number} could not be fetched from Discord.", "Attach it again."),
}


def error_reply(error: Exception) -> str:
    """Return the answer to anything a command raised; discord.py's wrapper around it is looked through."""
    cause = getattr(error, "original", error)
    if isinstance(cause, RequestRejected):
        return reply(cause)
    if isinstance(cause, StoreFailed):
        return "The bot could not use its database. Nothing was changed or held.\nTry again in a minute."
    if isinstance(cause, DeliveryFailed):
        return "Discord could not be reached for your direct messages. Nothing was held.\nTry again in a minute."
    return "Something went wrong in the bot, and it was logged.\n`/video status` shows whether your video is under way."


@singledispatch
def reply(error: RequestRejected) -> str:
    """Return what the person reads. Every kind of RequestRejected has its own; a test sees to it."""
    raise InvariantBroken(f"no reply for {type(error).__name__}")


for _words in REFUSALS:
    reply.register(_words)


def _refusal(wrong: str, now: str = "") -> str:
    return f"{wrong} Nothing was held.\n{now}".rstrip()


@reply.register
def _prompt(error: PromptRejected) -> str:
    match error.problem:
        case PromptProblem.BLANK:
            return _refusal("The prompt is blank.", "Say what happens in the video.")
        case PromptProblem.TOO_LONG:
            wrong = f"The prompt counts {error.measured:,} characters; the limit is {error.limit:,}."
            now = "A Chinese character counts two. Shorten it: a gateway would cut it and still bill it."
            return _refusal(wrong, now)
        case PromptProblem.UNKNOWN_PICTURE:
            return _unknown_picture(error.measured, attached=error.limit)


def _unknown_picture(number: int, *, attached: int) -> str:
    name = f"The prompt names [Image {number}]"
    if not attached:
        return _refusal(f"{name}, but no picture is attached.", "`/video reference` takes pictures.")
    if number == 0:
        return _refusal(f"{name}; pictures count from 1.", f"Attached: {_range('[Image {n}]', attached)}.")
    are = "1 picture is" if attached == 1 else f"{attached} pictures are"
    return _refusal(f"{name}, but {are} attached.", f"Attach it, or name {_range('[Image {n}]', attached)}.")


def _range(form: str, last: int) -> str:
    return form.format(n=1) if last == 1 else f"{form.format(n=1)} to {form.format(n=last)}"


@reply.register
def _picture(error: PictureRejected) -> str:
    number = f"Picture {error.position}"
    units = {PictureProblem.TOO_MANY_PIXELS: "megapixels", PictureProblem.TOO_LARGE: "MB"}
    if unit := units.get(error.problem):
        has = f"{number} has {_millions(error.measured)} {unit}; the limit is {_millions(error.limit)}"
        return _refusal(f"{has} {unit}.", "Send a smaller copy.")
    if error.problem is PictureProblem.TOO_SMALL:
        need = "references need" if error.mode is Mode.REFERENCE else "a picture to animate needs"
        size = f"{error.width:,} × {error.height:,} pixels"
        return _refusal(f"{number} is {size}; {need} {error.limit} on the short side.", "Send a larger copy.")
    wrong, now = _PICTURES[error.problem]
    return _refusal(wrong.format(number=number), now)


def _millions(count: int) -> str:
    """Show a count in millions, never rounded down to the limit it breaks."""
    tenths = -(-count // 100_000)
    return f"{tenths // 10:,}" if tenths % 10 == 0 else f"{tenths // 10:,}.{tenths % 10}"


@reply.register
def _picture_count(error: PictureCountRejected) -> str:
    takes = f"`/video {MODE_WORDS[error.mode]}` takes"
    if error.count_max == 0:
        return _refusal(f"{takes} no pictures.", "`/video reference` takes up to 9.")
    wanted = str(error.count_max) if error.count_min == error.count_max else f"{error.count_min} to {error.count_max}"
    if error.count == 0:
        return _refusal(f"No picture is attached; {takes} {wanted}.", "Attach one and ask again.")
    are = "is" if error.count == 1 else "are"
    return _refusal(f"{counted(error.count, 'picture')} {are} attached; {takes} {wanted}.")


@reply.register
def _picture_gap(error: PictureGapRejected) -> str:
    wrong = f"`image{error.missing}` is empty, but a later one is filled."
    return _refusal(wrong, "Fill them in order: [Image 2] in the prompt is the picture in `image2`.")


@reply.register
def _option(error: OptionRejected) -> str:
    who, value = error.gateway_title or "no gateway", shown(error.value, lines_max=1, characters_max=60)
    choices = _choices(error.allowed)
    if error.by_rule:
        return _forbidden_option(error, value)
    match error.option:
        case "seed" | "negative_prompt":
            takes = "cannot take" if error.gateway_title else "that can make this takes"
            wrong = f"{who[0].upper()}{who[1:]} {takes} a {error.option.replace('_', ' ')}."
            other = ", or choose another gateway" if error.gateway_title else ""
            return _refusal(wrong, f"Leave out `{error.option}`{other}.")
        case "duration":
            length = f"{error.allowed[0]} to {error.allowed[-1]} s" if error.allowed else "no such length"
            makes = f"{error.gateway_title} makes" if error.gateway_title else "a video lasts"
            return _refusal(f"{value} s is not possible; {makes} {length}.")
        case _:
            has = f"{who[0].upper()}{who[1:]} has"
            wrong = f"{has} no {error.option} {value}" if error.gateway_title else f"{has} the {error.option} {value}"
            return _refusal(f"{wrong}; possible: {choices}." if choices else f"{wrong}.")


def _forbidden_option(error: OptionRejected, value: str) -> str:
    is_length = error.option == "duration"
    if not error.allowed:
        wrong = f"This server's rules leave no {error.option} that everything here allows."
        return _refusal(wrong, "Tell its managers: `/video-admin quota show` marks what contradicts.")
    what = f"{value} s is" if is_length else f"The {error.option} {value} is"
    allowed = f"{error.allowed[0]} to {error.allowed[-1]} s" if is_length else _choices(error.allowed)
    return _refusal(f"{what} not possible here; this server's rules allow {allowed}.")


def _choices(allowed: tuple[str, ...]) -> str:
    return listed(list(allowed), last="or") if allowed else ""


_GATEWAYS = {
    Unavailable.NO_SUCH_GATEWAY: ("There is no gateway “{title}”; there are {allowed}.", ""),
    Unavailable.NO_KEY: ("{title} has no key here.", "Choose another gateway; the operator can set the key."),
    Unavailable.NO_PRICE: (
        "{title} has no price for this here, and nothing is bought without one.",
        "Choose another gateway; the operator can set the price.",
    ),
    Unavailable.GUILD_NOT_SERVED: (
        "{title} is not open here: the operator decides which servers may use paid gateways.",
        "`gateway:animatic` makes a free preview.",
    ),
    Unavailable.NEEDS_PICTURES: ("{title} needs reference pictures.", "Use `/video reference`, or another gateway."),
    Unavailable.MODE: ("{title} cannot do `/video {command}`.", "Choose another gateway."),
    Unavailable.RULE: (
        "This server's rules do not allow {title}.",
        "Choose another gateway; `gateway:animatic` makes a free preview.",
    ),
    Unavailable.OUT: (
        "{title} takes no jobs at the moment.",
        "Choose another gateway or `gateway:auto`, or ask again later; the operator is told.",
    ),
}


_ALL_OUT = (
    "No gateway that can make this takes jobs at the moment.",
    "Ask again later, the operator is told; `gateway:animatic` makes a free preview.",
)


@reply.register
def _gateway(error: GatewayRejected) -> str:
    all_out = error.why is Unavailable.OUT and not error.gateway_title
    wrong, now = _ALL_OUT if all_out else _GATEWAYS[error.why]
    words = {
        "title": shown(error.gateway_title, lines_max=1, characters_max=60),
        "allowed": _and(error.allowed),
        "command": MODE_WORDS[error.mode],
    }
    return _refusal(wrong.format(**words), now)


def _and(names: tuple[str, ...]) -> str:
    return listed(list(names)) if names else ""


@reply.register
def _place(error: PlaceRejected) -> str:
    wrong = f"The bot could not post the video here: it lacks {listed(list(error.missing))}."
    return _refusal(wrong, "Somebody who manages the channel can allow it; `private:True` works without.")


@reply.register
def _direct_messages(_: DirectMessagesClosed) -> str:
    wrong = "A private video comes by direct message, and yours are closed to the bot."
    return _refusal(wrong, "Allow direct messages from this server's members, or leave out `private`.")


_CHEAPER = "A shorter video or 720p costs less, `gateway:animatic` nothing"
_FREE = "`gateway:animatic` makes a free preview"


@reply.register
def _quota(error: QuotaExceeded) -> str:
    return limit_reply(error, is_cheaper_left=bool(error.standing.available_microusd))


def limit_reply(error: QuotaExceeded, *, is_cheaper_left: bool) -> str:
    """Return the reply to a limit; `is_cheaper_left` says whether another paid video would pass."""
    cheapest = _CHEAPER if is_cheaper_left else _FREE
    standing, needed = error.standing, show_usd(error.needed_microusd)
    if standing.kind is LimitKind.BOT:
        # How much the whole bot may still spend is the operator's business.
        end = until(standing.window_ends_at)
        return _refusal(f"This would take {needed}, more than the whole bot has left {end}.", f"{cheapest}.")
    left, missing = f"{left_words(standing)}{source_behind(standing)}", standing.missing_microusd(error.needed_microusd)
    limits = f"`/video quota` {'changes' if standing.kind is LimitKind.OWN else 'shows'} your limits"
    if forbids(standing):
        return _refusal(f"{capital(left)}.", f"{_FREE}; {limits}.")
    if standing.measure is Measure.VIDEOS:
        granted = standing.grants_left_microusd
        short = (
            f"Of {needed}, {show_usd(granted)} is granted to you; {show_usd(missing)} is missing." if granted else ""
        )
        again = f"it starts again {date(standing.window_ends_at)}"
        return _refusal(f"{capital(left)}; {again}.", f"{short} {_FREE}; {limits}.".lstrip())
    return _refusal(f"This would take {needed}; {left}.", f"{show_usd(missing)} is missing. {cheapest}; {limits}.")


@reply.register
def _failures(error: TooManyFailures) -> str:
    wrong = f"{counted(error.limit, 'video')} of yours failed today without a charge, and that is the limit."
    return _refusal(wrong, f"Ask again {stamp(error.window_ends_at)}.")


@reply.register
def _previews(error: TooManyPreviews) -> str:
    wrong = f"You have made {counted(error.limit, 'free preview')} today, and that is the limit."
    return _refusal(wrong, f"Ask again {stamp(error.window_ends_at)}.")


@reply.register
def _paused(error: Paused) -> str:
    who = "This server's managers have" if error.by_guild else "The operator has"
    return _refusal(f"{who} paused new videos.", "Those already under way go on. Ask again later.")


@reply.register
def _not_an_operator(_: NotAnOperator) -> str:
    return "Only the bot's operators may do this. Nothing was changed."


@reply.register
def _bind(error: BindRejected) -> str:
    match error.problem:
        case BindProblem.NOT_UNCONFIRMED:
            return "This job is not unconfirmed, or not any more. Nothing was changed."
        case BindProblem.NOT_READABLE:
            wrong = f"{error.gateway_title} shows no job of that id, or cannot be asked just now. Nothing was changed."
            return f"{wrong}\nCompare the id with the one {error.gateway_title} gives, and try again."
        case BindProblem.OTHER_BILL:
            return (
                f"{error.gateway_title} billed more for that id than this job costs, so it is probably another job's. "
                "Nothing was changed."
            )
        case BindProblem.TAKEN:
            return f"{error.gateway_title} gave that id to another job here. Nothing was changed."


@reply.register
def _not_yours(_: NotYourJob) -> str:
    return "You have no such job. Nothing was changed.\n`/video history` lists yours."


@reply.register
def _too_late(error: TooLateToCancel) -> str:
    if error.ended:
        return "This job has ended; there is nothing to cancel. Nothing was changed."
    if not error.confirmed:
        return f"{error.gateway_title} may have it already; it cannot be stopped. You pay only if the video arrives."
    return f"{error.gateway_title} has it already; it cannot be stopped. You pay only if the video arrives."
