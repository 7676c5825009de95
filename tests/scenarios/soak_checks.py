"""What must hold after a soak, checked from outside: the database's rows against what Discord and the gateways saw."""

import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from bot.domain.money import microusd_from_usd
from bot.domain.quota import Limits
from bot.sandbox.discord import Channel, User
from bot.sandbox.gateways.books import Phase, Stand

# Each prompt begins with it, so that whatever names a prompt can be told from all others.
_MARK = re.compile(r"soak (\d{5})")
_LITTER = ("Traceback", "Unclosed", "ResourceWarning", "was never", "never retrieved")
_FINAL = {"stored", "cancelled", "failed", "lost"}
_FACES = {"stored": {"delivered", "kept"}, "cancelled": {"cancelled"}, "failed": {"failed"}, "lost": {"lost"}}
_COMES_BACK = re.compile("has no credit left|does not accept this bot's key")
# Files that are only there while somebody works on them.
_PASSING = ("incoming", "fitted", "animatic")

Row = Mapping[str, Any]


def mark(number: int) -> str:
    return f"soak {number:05d}"


def number_in(text: str) -> int | None:
    found = _MARK.search(text)
    return int(found[1]) if found else None


@dataclass(frozen=True)
class Bill:
    """A job at a gateway: whose it is, and what its owner can know of the bill."""

    gateway: str
    gateway_job_id: str
    number: int | None
    known_microusd: int
    done: bool


@dataclass(frozen=True)
class Post:
    """A paid POST as a gateway received it."""

    gateway: str
    key: str | None
    body: bytes


@dataclass(frozen=True)
class Message:
    """One message of the bot, with the job whose prompt it names. `videos` are the files it shows."""

    message_id: int
    number: int | None
    videos: tuple[str, ...]
    is_knock: bool


@dataclass(frozen=True)
class Records:
    """Everything there is to look at once the last life of the bot has ended cleanly."""

    jobs: Sequence[Row]
    attempts: Sequence[Row]
    ledger: Sequence[Row]
    bills: Sequence[Bill]
    posts: Sequence[Post]
    messages: Sequence[Message]
    odd_answers: Sequence[str]
    notices: Sequence[str]
    files: Sequence[str]
    log: Sequence[str]
    limits: Limits
    # What the bot itself says that gateways billed beyond what people paid.
    reported_loss_microusd: int
    # The price rows that are out of use, and how many jobs were billed above their list price.
    unpriced: Sequence[str]
    bills_above_list: int

    def attempts_of(self) -> dict[str, list[Row]]:
        found: defaultdict[str, list[Row]] = defaultdict(list)
        for row in self.attempts:
            found[row["job_id"]].append(row)
        return found

    def entries_of(self) -> dict[str, list[Row]]:
        found: defaultdict[str, list[Row]] = defaultdict(list)
        for row in self.ledger:
            found[row["job_id"]].append(row)
        return found

    def story(self, job_id: str) -> list[str]:
        """Return the log's lines about a job."""
        return [line.rstrip() for line in self.log if job_id in line]


def read_rows(database: Path, table: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(f"SELECT * FROM {table}")]  # noqa: S608 - the names are our own


def bills_of(stand: Stand, *, unit_usd: Decimal) -> Iterator[Bill]:
    for job in stand.jobs.values():
        known = microusd_from_usd(stand.known_bill(job) * unit_usd)
        number = number_in(job.asked.prompt)
        yield Bill(stand.name, job.gateway_job_id, number, known, job.phase is Phase.DONE)


def posts_to(stand: Stand) -> Iterator[Post]:
    for received in stand.submissions:
        yield Post(stand.name, received.headers.get("idempotency-key"), received.body)


def messages_in(channels: Iterable[Channel], bot: User) -> Iterator[Message]:
    for channel in channels:
        for message in channel.messages:
            if message.author is bot:
                videos = tuple(media.filename for media in message.media if media.filename.endswith(".mp4"))
                is_knock = message.text.startswith("You asked for a private video")
                yield Message(message.id, number_in(message.text), videos, is_knock)


def files_under(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def check(records: Records) -> list[str]:
    """Return one sentence for everything that does not hold."""
    return [problem for one in CHECKS for problem in one(records)]


def one_gateway_job(records: Records) -> Iterator[str]:
    """At most one gateway job for a job; an earlier attempt was certainly refused."""
    counts = Counter(bill.number for bill in records.bills)
    known = {number_in(job["prompt"]): job for job in records.jobs}
    for number, count in counts.items():
        if number not in known:
            yield f"a gateway made number {number}, which is no job"
        elif count > 1:
            yield f"job {known[number]['job_id']} has {count} gateway jobs"
    for job_id, attempts in records.attempts_of().items():
        *earlier, _ = sorted(attempts, key=lambda row: row["number"])
        for row in earlier:
            refused = (row["billed_microusd"], row["billed_source"]) == (0, "reported")
            if not refused or row["gateway_job_id"] is not None:
                yield f"job {job_id} was submitted again though attempt {row['number']} was not certainly refused"


def one_post(records: Records) -> Iterator[str]:
    """Each attempt is sent once; only HiAPI gets the same bytes under the same key again."""
    written = Counter((row["gateway"], bytes(row["body"])) for row in records.attempts)
    received = Counter((post.gateway, post.body) for post in records.posts)
    for (gateway, body), count in received.items():
        if count > written[gateway, body] and (gateway != "hiapi" or not written[gateway, body]):
            number = number_in(body.decode())
            yield f"{gateway} got number {number} {count} times for {written[gateway, body]} attempts"
    keys = {row["idempotency_key"]: bytes(row["body"]) for row in records.attempts if row["gateway"] == "hiapi"}
    for post in records.posts:
        if post.gateway == "hiapi" and keys.get(post.key or "") != post.body:
            yield f"hiapi got other bytes than were written under the key {post.key}"


def ids_match(records: Records) -> Iterator[str]:
    """A gateway job id in an attempt is that of the job it was submitted for."""
    bills = {(bill.gateway, bill.gateway_job_id): bill for bill in records.bills}
    numbers = {job["job_id"]: number_in(job["prompt"]) for job in records.jobs}
    for row in records.attempts:
        if row["gateway_job_id"] is None:
            continue
        bill = bills.get((row["gateway"], row["gateway_job_id"]))
        if bill is None or bill.number != numbers[row["job_id"]]:
            yield f"job {row['job_id']} has the gateway job id of {bill.number if bill else 'nobody'}"


def holds_end_once(records: Records) -> Iterator[str]:
    """Exactly one hold of the price, and one resolution that fits the end."""
    entries = records.entries_of()
    for job in records.jobs:
        found = {row["kind"]: row for row in entries.get(job["job_id"], [])}
        resolution = "settle" if job["state"] == "stored" else "release"
        wanted = {"hold", resolution} if job["price_microusd"] and job["state"] in _FINAL else set()
        if set(found) != wanted:
            yield f"job {job['job_id']} is {job['state']} and has the entries {sorted(found)}"
        elif found:
            end, freed = found[resolution], found[resolution]["freed_microusd"]
            whole = end["amount_microusd"] + (freed if resolution == "settle" else 0)
            if not found["hold"]["amount_microusd"] == job["price_microusd"] == whole:
                yield f"job {job['job_id']} held {found['hold']['amount_microusd']} and ended {whole}"


def limits_hold(records: Records) -> Iterator[str]:
    """Replay the ledger: spend plus open holds never pass any limit of a person or guild, nor the bot's at a hold."""
    billed: Counter[str] = Counter()
    for row in records.attempts:
        billed[row["job_id"]] += row["billed_microusd"] or 0
    used: Counter[tuple[object, ...]] = Counter()
    # What is freed in the same millisecond as something is held was freed first, for all that anybody can tell.
    for row in sorted(records.ledger, key=lambda row: (row["at_ms"], row["kind"] == "hold")):
        held = row["kind"] == "hold"
        change = row["amount_microusd"] if held else -row["freed_microusd"]
        windows = [
            (("user", row["user_id"], row["day"]), records.limits.user_day_microusd),
            (("user", row["user_id"], row["month"]), records.limits.user_month_microusd),
        ]
        if row["guild_id"] is not None:
            windows.append((("guild", row["guild_id"], row["month"]), records.limits.guild_month_microusd))
        for window, limit in windows:
            used[window] += change
            if limit is not None and used[window] > limit:
                yield f"job {row['job_id']} brought {window} to {used[window]}, over {limit}"
        if held:
            used["bot",] += row["amount_microusd"]
        elif row["kind"] != "refund":
            whole = row["amount_microusd"] + (row["freed_microusd"] if row["kind"] == "settle" else 0)
            used["bot",] += billed[row["job_id"]] - whole
        limit = records.limits.bot_month_microusd
        if held and limit is not None and used["bot",] > limit:
            yield f"job {row['job_id']} brought the bot to {used['bot',]}, over {limit}"


def videos_are_posted_once(records: Records) -> Iterator[str]:
    """A settled job has its one video message, a lost one at most one, all others none; the file is kept."""
    shown = Counter(name.removesuffix(".mp4") for message in records.messages for name in message.videos)
    at = {name.removesuffix(".mp4"): message for message in records.messages for name in message.videos}
    for job in records.jobs:
        job_id, state, count = job["job_id"], job["state"], shown.pop(job["job_id"], 0)
        wanted = {1} if state == "stored" else {int(job["delivery"] == "posted")} if state == "lost" else {0}
        if count not in wanted:
            yield f"job {job_id} is {state} and has {count} video messages"
        elif count and (at[job_id].message_id, at[job_id].number) != (
            job["video_message_id"],
            number_in(job["prompt"]),
        ):
            yield f"job {job_id} has its video in another message than is written down"
        if state == "stored" and f"videos/{job['video_name']}" not in records.files:
            yield f"job {job_id} is paid for and its file is gone"
    for job_id in shown:
        yield f"a video of {job_id} is posted, which is no job"


def people_pay_for_videos(records: Records) -> Iterator[str]:
    """Who paid has a video that a gateway made, at what it billed, never above the hold."""
    bills = {(bill.gateway, bill.gateway_job_id): bill for bill in records.bills}
    newest = {job_id: max(rows, key=lambda row: row["number"]) for job_id, rows in records.attempts_of().items()}
    prices = {job["job_id"]: job["price_microusd"] for job in records.jobs}
    for row in records.ledger:
        if row["kind"] != "settle":
            continue
        job_id, attempt = row["job_id"], newest[row["job_id"]]
        bill = bills.get((attempt["gateway"], attempt["gateway_job_id"]))
        if bill is None or not bill.done:
            yield f"job {job_id} is paid for and no gateway made it"
        elif row["amount_microusd"] != min(prices[job_id], bill.known_microusd):
            yield f"job {job_id} was billed {bill.known_microusd} and paid {row['amount_microusd']}"


def loss_is_reported(records: Records) -> Iterator[str]:
    """The bot's book of bills is the gateways' own, and what it reports as loss is that less what people paid.

    The one exception is an attempt that never got an id: whatever the gateway made of it, its job is lost and the
    gateway's price is booked. What a gateway gave back without saying so (`Stand.known_bill`) is billed for all anybody
    can know.
    """
    bills = {(bill.gateway, bill.gateway_job_id): bill for bill in records.bills}
    nameless = {bill.number: bill for bill in records.bills}
    jobs = {job["job_id"]: job for job in records.jobs}
    loss = -sum(row["amount_microusd"] for row in records.ledger if row["kind"] == "settle")
    for row in records.attempts:
        job, booked = jobs[row["job_id"]], (row["billed_microusd"], row["billed_source"])
        if row["gateway_job_id"] is not None:
            bill = bills.get((row["gateway"], row["gateway_job_id"]))
            nameless.pop(number_in(job["prompt"]), None)
            loss += bill.known_microusd if bill else 0
            if bill is not None and bill.known_microusd != booked[0]:
                yield f"job {row['job_id']} was billed {bill.known_microusd} and {booked} is booked"
        elif booked != (0, "reported"):
            loss += row["price_microusd"]
            if (job["state"], booked) != ("lost", (row["price_microusd"], "price")):
                yield f"job {row['job_id']} never got an id, is {job['state']} and {booked} is booked"
    for number, bill in nameless.items():
        owner = next((job for job in records.jobs if number_in(job["prompt"]) == number), None)
        if owner is not None and owner["state"] != "lost":
            yield f"job {owner['job_id']} is {owner['state']} and {bill.gateway} has {bill.gateway_job_id} of it"
    if loss != records.reported_loss_microusd:
        yield f"the loss is {loss} and {records.reported_loss_microusd} is reported"


def prices_stay_in_use(records: Records) -> Iterator[str]:
    """Only a bill above its price takes a price out of use."""
    if len(records.unpriced) > records.bills_above_list:
        yield f"{records.bills_above_list} bills were too high and {records.unpriced} are out of use"


def all_ended(records: Records) -> Iterator[str]:
    """Nothing is unfinished, nothing is still to be delivered, and every card shows the end."""
    for job in records.jobs:
        faces = _FACES.get(job["state"], set()) | ({"delivered"} if job["delivery"] == "posted" else set())
        if job["state"] not in _FINAL or job["delivery"] == "due" or job["card_face"] not in faces:
            yield f"job {job['job_id']} is {job['state']}, delivery {job['delivery']}, card {job['card_face']}"


def cards_are_there_once(records: Records) -> Iterator[str]:
    """Each job has one message beside its video: its card, or where none was posted, the explanation of its end."""
    cards: defaultdict[int | None, list[int]] = defaultdict(list)
    for message in records.messages:
        if not message.videos and not message.is_knock:
            cards[message.number].append(message.message_id)
    for job in records.jobs:
        found, card = cards.pop(number_in(job["prompt"]), []), job["card_message_id"]
        wanted = 0 if card is None and job["state"] in {"cancelled", "stored"} else 1
        if len(found) != wanted or (card is not None and found != [card]):
            yield f"job {job['job_id']} is {job['state']}, has the card {card} and the messages {found}"
    for number, found in cards.items():
        yield f"number {number} is no job and has the messages {found}"


def answers_are_known(records: Records) -> Iterator[str]:
    for text in records.odd_answers:
        yield f"a private answer says {text}"


def operators_are_told_once(records: Records) -> Iterator[str]:
    """No notice comes twice, but for that of a gateway that is out again."""
    for text, count in Counter(records.notices).items():
        if count > 1 and not _COMES_BACK.search(text):
            yield f"operators were told {count} times: {text.splitlines()[1]}"


def log_is_clean(records: Records) -> Iterator[str]:
    for line in records.log:
        if any(word in line for word in _LITTER):
            yield f"the log says {line.rstrip()}"


def files_are_tidy(records: Records) -> Iterator[str]:
    """Nothing half done is left. A picture of a command that died before its job was opened stays until it is old."""
    names = {f"videos/{job['video_name']}" for job in records.jobs if job["video_name"]}
    for name in records.files:
        half = name.startswith(_PASSING) or name.endswith(".part")
        if half or (name.startswith("videos/") and name not in names):
            yield f"{name} is left over"


CHECKS: tuple[Callable[[Records], Iterator[str]], ...] = (
    one_gateway_job,
    one_post,
    ids_match,
    holds_end_once,
    limits_hold,
    videos_are_posted_once,
    people_pay_for_videos,
    loss_is_reported,
    prices_stay_in_use,
    all_ended,
    cards_are_there_once,
    answers_are_known,
    operators_are_told_once,
    log_is_clean,
    files_are_tidy,
)
