"""Discord's limits that its OpenAPI document cannot express, each just inside and just outside."""

from typing import Any

import pytest

from bot.sandbox.discord.errors import ApiError
from bot.sandbox.discord.rules_commands import check_choices, check_commands
from bot.sandbox.discord.rules_messages import check_message
from bot.sandbox.discord.rules_modals import check_modal

pytestmark = pytest.mark.wire

Json = dict[str, Any]


def text(content: str = "x") -> Json:
    return {"type": 10, "content": content}


def button(number: int = 0, **changes: Any) -> Json:
    return {"type": 2, "style": 2, "label": "Go", "custom_id": f"b{number}", **changes}


def row(*inside: Json) -> Json:
    return {"type": 1, "components": list(inside)}


def gallery(count: int) -> Json:
    return {"type": 12, "items": [{"media": {"url": f"attachment://{n}.png"}} for n in range(count)]}


def select(**changes: Any) -> Json:
    return {"type": 3, "custom_id": "s", "options": [{"label": "a", "value": "a"}], **changes}


RIGHT_V2 = {
    "forty components": [text() for _ in range(40)],
    "4000 characters": [text("x" * 2000), {"type": 17, "components": [text("y" * 2000)]}],
    "a gallery of ten": [gallery(10)],
    "a row of five buttons": [row(*(button(n) for n in range(5)))],
    "a custom_id of 100": [row(button(custom_id="x" * 100))],
    "a section": [{"type": 9, "components": [text()], "accessory": button()}],
    "a link": [row(button(style=5, custom_id=None, url="https://example.org"))],
    "a select": [row(select())],
}
WRONG_V2 = {
    "41 components": [text() for _ in range(41)],
    "41 components in depth": [{"type": 17, "components": [text() for _ in range(40)]}],
    "4001 characters": [text("x" * 2000), text("y" * 2001)],
    "an empty gallery": [gallery(0)],
    "a gallery of eleven": [gallery(11)],
    "an empty row": [row()],
    "six buttons in a row": [row(*(button(n) for n in range(6)))],
    "an empty custom_id": [row(button(custom_id=""))],
    "a custom_id of 101": [row(button(custom_id="x" * 101))],
    "a custom_id twice": [row(button(1), button(1))],
    "a label of 81": [row(button(label="x" * 81))],
    "no label": [row(button(label=None))],
    "a link with a custom_id": [row(button(style=5, url="https://example.org"))],
    "a button outside a row": [button()],
    "a text in a row": [row(text())],
    "a container in a container": [{"type": 17, "components": [{"type": 17, "components": [text()]}]}],
    "a section without accessory": [{"type": 9, "components": [text()]}],
    "an empty text": [text("")],
    "a file address": [{"type": 12, "items": [{"media": {"url": "file:///etc/passwd"}}]}],
    "a file component with a link": [{"type": 13, "file": {"url": "https://example.org/x"}}],
    "26 choices in a select": [row(select(options=[{"label": f"{n}", "value": f"{n}"} for n in range(26)]))],
    "a select beside a button": [row(select(), button())],
}


@pytest.mark.parametrize("components", RIGHT_V2.values(), ids=RIGHT_V2.keys())
def test_a_v2_message_inside_the_limits_passes(components: list[Json]) -> None:
    check_message({"components": components}, is_v2=True)


@pytest.mark.parametrize("components", WRONG_V2.values(), ids=WRONG_V2.keys())
def test_a_v2_message_outside_the_limits_is_a_form_error(components: list[Json]) -> None:
    with pytest.raises(ApiError) as caught:
        check_message({"components": components}, is_v2=True)
    assert (caught.value.status, caught.value.code) == (400, 50035)


WRONG_V1: dict[str, Json] = {
    "content of 2001": {"content": "x" * 2001},
    "six rows": {"components": [row(button(n)) for n in range(6)]},
    "a text display without the flag": {"components": [text()]},
    "a container without the flag": {"components": [{"type": 17, "components": [text()]}]},
    "eleven embeds": {"embeds": [{"title": "x"}] * 11},
    "an embed title of 257": {"embeds": [{"title": "x" * 257}]},
    "6001 characters of embeds": {"embeds": [{"description": "x" * 3000}] * 2 + [{"title": "y"}]},
}


@pytest.mark.parametrize("payload", WRONG_V1.values(), ids=WRONG_V1.keys())
def test_an_ordinary_message_outside_the_limits_is_a_form_error(payload: Json) -> None:
    with pytest.raises(ApiError) as caught:
        check_message(payload, is_v2=False)
    assert caught.value.code == 50035


def test_an_ordinary_message_inside_the_limits_passes() -> None:
    rows = [row(button(n)) for n in range(5)]
    check_message({"content": "x" * 2000, "components": rows, "embeds": [{"description": "x" * 4096}]}, is_v2=False)


@pytest.mark.parametrize("key", ["content", "embeds", "poll", "sticker_ids"])
def test_the_v2_flag_excludes_the_old_fields(key: str) -> None:
    with pytest.raises(ApiError, match="50035"):
        check_message({key: ["x"], "components": [text()]}, is_v2=True)


def command(**changes: Any) -> Json:
    return {"name": "video", "description": "x", "type": 1, **changes}


def option(name: str = "a", **changes: Any) -> Json:
    return {"type": 3, "name": name, "description": "x", **changes}


def nested(depth: int) -> list[Json]:
    kinds = {1: [1], 2: [2, 1], 3: [2, 2, 1]}[depth]
    inner: list[Json] = [option()]
    for kind in reversed(kinds):
        inner = [{"type": kind, "name": "n", "description": "x", "options": inner}]
    return inner


CHOICES = [{"name": f"c{n}", "value": f"{n}"} for n in range(26)]
RIGHT_COMMANDS: dict[str, Json] = {
    "25 options": command(options=[option(f"o{n}") for n in range(25)]),
    "25 choices": command(options=[option(choices=CHOICES[:25])]),
    "letters of any script": command(name="видео-1_x"),
    "a string of 6000": command(options=[option(max_length=6000)]),
    "a group of subcommands": command(options=nested(2)),
    "a message command": {"name": "Animate this", "type": 3},
}
WRONG_COMMANDS: dict[str, Json] = {
    "26 options": command(options=[option(f"o{n}") for n in range(26)]),
    "26 choices": command(options=[option(choices=CHOICES)]),
    "a name with capitals": command(name="Video"),
    "a name with a space": command(name="my video"),
    "an option with a dot": command(options=[option("a.b")]),
    "a name of 33": command(name="x" * 33),
    "no description": command(description=""),
    "a description of 101": command(description="x" * 101),
    "required after optional": command(options=[option("a"), option("b", required=True)]),
    "an option twice": command(options=[option("a"), option("a")]),
    "a string of 6001": command(options=[option(max_length=6001)]),
    "a minimum above the maximum": command(options=[option(min_length=5, max_length=4)]),
    "choices and autocomplete": command(options=[option(choices=CHOICES[:1], autocomplete=True)]),
    "groups in groups": command(options=nested(3)),
    "options beside subcommands": command(options=[*nested(1), option()]),
    "8001 characters": command(
        options=[option(f"o{n}", choices=[{"name": "x" * 90, "value": f"{m}"} for m in range(10)]) for n in range(9)]
    ),
}


@pytest.mark.parametrize("definition", RIGHT_COMMANDS.values(), ids=RIGHT_COMMANDS.keys())
def test_a_command_inside_the_limits_passes(definition: Json) -> None:
    check_commands([definition])


@pytest.mark.parametrize("definition", WRONG_COMMANDS.values(), ids=WRONG_COMMANDS.keys())
def test_a_command_outside_the_limits_is_refused(definition: Json) -> None:
    with pytest.raises(ApiError, match="50035"):
        check_commands([definition])


def test_a_command_may_have_8000_characters_and_no_more() -> None:
    def of(characters: int) -> Json:
        options = [
            option(f"o{n}", choices=[{"name": f"{m}".rjust(90, "x"), "value": f"{m:010}"} for m in range(10)])
            for n in range(7)
        ]
        rest = characters - 6 - 7 * (3 + 1000)
        many = [option(f"p{n}", description="x" * 98) for n in range(rest // 100)]
        if rest % 100:
            many.append(option(f"p{rest}"[:2], description="x" * (rest % 100 - 2)))
        return command(options=options + many)

    check_commands([of(8000)])
    with pytest.raises(ApiError, match="50035"):
        check_commands([of(8001)])


def test_a_hundred_commands_are_the_most() -> None:
    check_commands([command(name=f"c{n}") for n in range(100)])
    with pytest.raises(ApiError, match="30032"):
        check_commands([command(name=f"c{n}") for n in range(101)])


def test_an_autocomplete_offers_25_choices_at_most() -> None:
    check_choices("data.choices", CHOICES[:25])
    for wrong in (CHOICES, [{"name": "", "value": "x"}], [{"name": "x" * 101, "value": "x"}], [CHOICES[0]] * 2):
        with pytest.raises(ApiError, match="50035"):
            check_choices("data.choices", wrong)


def field(number: int = 0, **changes: Any) -> Json:
    return {"type": 18, "label": "Field", "component": {"type": 4, "custom_id": f"f{number}", "style": 1, **changes}}


def modal(*rows: Json, **changes: Any) -> Json:
    return {"title": "Form", "custom_id": "m", "components": list(rows or [field()]), **changes}


WRONG_MODALS: dict[str, Json] = {
    "six rows": modal(*(field(n) for n in range(6))),
    "no rows": modal() | {"components": []},
    "a title of 46": modal(title="x" * 46),
    "no title": modal(title=""),
    "no custom_id": modal(custom_id=""),
    "a label of 46": modal({**field(), "label": "x" * 46}),
    "a description of 101": modal({**field(), "description": "x" * 101}),
    "a field twice": modal(field(1), field(1)),
    "a text of 4001": modal(field(max_length=4001)),
    "eleven files": modal({"type": 18, "label": "x", "component": {"type": 19, "custom_id": "f", "max_values": 11}}),
    "a button": modal({"type": 1, "components": [button()]}),
}


def test_a_modal_inside_the_limits_passes() -> None:
    check_modal(modal(*(field(n, max_length=4000) for n in range(5)), title="x" * 45))


@pytest.mark.parametrize("wrong", WRONG_MODALS.values(), ids=WRONG_MODALS.keys())
def test_a_modal_outside_the_limits_is_refused(wrong: Json) -> None:
    with pytest.raises(ApiError, match="50035"):
        check_modal(wrong)
