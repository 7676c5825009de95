"""The settings card: inside Discord's limits at its fullest, and honest where a choice cannot work."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.domain.errors import ChangeRejected
from bot.domain.guild import Defaults, GuildField, GuildSettings
from bot.domain.guild_choices import GuildChoices, Offered
from bot.domain.windows import TimeZone
from bot.presentation.card_age import OPENED, opened_mark, require_fresh
from bot.presentation.guild_settings import settings_card, settings_form
from bot.presentation.layout import Layout
from bot.presentation.setting_words import changed_text, gateways_text
from bot.presentation.settings_view import FORM_ID, SETTINGS_ID, Page, SettingsView

CHARACTERS_MAX, COMPONENTS_MAX = 4_000, 40
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MARK = opened_mark(NOW)
OFFERED = Offered({"hiapi": "HiAPI", "shortapi": "ShortAPI", "animatic": "Animatic"}, frozenset({"animatic"}), 30)
FIRST_ID = 2**60


def view(gone: frozenset[int] = frozenset(), gateways: frozenset[str] | None = None, **settings: Any) -> SettingsView:
    return SettingsView(GuildChoices(GuildSettings(7, **settings), gateways), OFFERED, gone, MARK)


def ids(count: int) -> frozenset[int]:
    return frozenset(range(FIRST_ID, FIRST_ID + count))


def parts(card: Layout) -> list[dict[str, Any]]:
    def walk(components: list[Any]) -> Iterator[dict[str, Any]]:
        for component in components:
            yield component
            yield from walk(component.get("components", []))
            yield from [component["accessory"]] if "accessory" in component else []

    return list(walk(card.to_components()))


def words(card: Layout) -> list[str]:
    return [line for part in parts(card) if part["type"] == 10 for line in part["content"].split("\n")]


FULLEST = view(
    gone=ids(100),
    gateways=frozenset({"hiapi", "gone"}),
    channel_ids=ids(100),
    role_ids=ids(100),
    audit_channel_id=FIRST_ID,
    confirm_above_microusd=10**12,
    retention_days=30,
    time_zone=TimeZone("America/Argentina/ComodRivadavia", "America/North_Dakota/New_Salem", NOW),
    defaults=Defaults(gateway="gone"),
)


@pytest.mark.parametrize("page", Page)
@pytest.mark.parametrize("made", [FULLEST, replace(FULLEST, gone=frozenset()), view()], ids=["gone", "full", "new"])
def test_every_page_fits_one_message_and_is_known_again(page: Page, made: SettingsView) -> None:
    card = settings_card(made, page, "x" * 700)
    custom_ids = [part["custom_id"] for part in parts(card) if "custom_id" in part]

    assert sum(len(part.get("content", "")) for part in parts(card)) <= CHARACTERS_MAX
    assert len(parts(card)) <= COMPONENTS_MAX
    assert len(set(custom_ids)) == len(custom_ids)
    assert all(SETTINGS_ID.fullmatch(each) and len(each) <= 100 for each in custom_ids)


@pytest.mark.parametrize("field", [GuildField.CONFIRM_ABOVE, GuildField.TIME_ZONE, GuildField.RETENTION])
@pytest.mark.parametrize("made", [FULLEST, view()], ids=["full", "new"])
def test_every_form_fits_discord(field: GuildField, made: SettingsView) -> None:
    form = settings_form(field, made).to_dict()
    [label] = form["components"]
    entry = label["component"]

    assert FORM_ID.fullmatch(form["custom_id"])
    assert len(form["title"]) <= 45
    assert len(label["label"]) <= 45
    assert len(label["description"]) <= 100
    assert len(entry.get("value") or "") <= entry["max_length"]
    assert entry["required"] is False


def test_more_channels_than_a_list_holds_are_not_dropped_by_a_press() -> None:
    card = settings_card(view(channel_ids=ids(30)), Page.WHERE)
    [menu] = [part for part in parts(card) if "channel_ids" in part.get("custom_id", "")]

    assert not menu.get("default_values")
    assert menu["placeholder"] == "30 chosen; choose anew"
    assert "A choice here takes the place of all 30; Discord's list holds 25." in words(card)
    assert any(line.endswith("and 5 more.") for line in words(card))


@pytest.mark.parametrize(
    ("chosen", "line"),
    [
        (
            {"channel_ids": ids(25)},
            "Discord's list holds 25. For more, allow channels in Discord's Server Settings, Integrations.",
        ),
        ({"role_ids": ids(25)}, "Discord's list holds 25. For more, give all of them one role and choose it."),
    ],
)
def test_a_full_list_says_what_to_do_for_more(chosen: dict[str, Any], line: str) -> None:
    assert line in words(settings_card(view(**chosen), Page.WHERE))


def test_an_allowed_gateway_that_is_not_there_any_more_is_named() -> None:
    card = settings_card(view(gateways=frozenset({"gone", "hiapi"})), Page.WHERE)

    assert "Allowed, too: gone (not there any more)." in words(card)


def test_without_a_paid_gateway_there_is_no_list_of_them() -> None:
    made = replace(view(), offered=Offered({"animatic": "Animatic"}, frozenset({"animatic"}), 30))

    assert words(settings_card(made, Page.WHERE))[-1] == "No gateway is set up here but the free preview."


@pytest.mark.parametrize(
    ("gateways", "name", "line"),
    [
        (None, "gone", "gone (not there any more): auto counts in its place."),
        (frozenset({"hiapi"}), "shortapi", "ShortAPI is not allowed here: auto counts in its place."),
        (frozenset({"hiapi"}), "hiapi", "**Gateway**"),
        (frozenset({"hiapi"}), "animatic", "**Gateway**"),
        (None, "auto", "**Gateway**"),
    ],
)
def test_a_default_gateway_that_does_not_count_is_said_not_to(
    gateways: frozenset[str] | None, name: str, line: str
) -> None:
    made = view(gateways=gateways, defaults=Defaults(gateway=name))

    assert words(settings_card(made, Page.DEFAULTS))[-1] == line


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"confirm_above_microusd": 0}, "**Confirmation:** every paid video"),
        ({"confirm_above_microusd": 1_005_000}, "**Confirmation:** videos of more than $1.005"),
        ({"retention_days": 1}, "**Videos are kept for:** 1 day"),
        ({"retention_days": 90}, "**Videos are kept for:** 30 days"),
        ({"time_zone": TimeZone("Asia/Tokyo")}, "**Time zone:** Asia/Tokyo"),
        (
            {"time_zone": TimeZone("UTC", "Asia/Tokyo", NOW)},
            f"**Time zone:** UTC; Asia/Tokyo from <t:{int(NOW.timestamp())}:f> (<t:{int(NOW.timestamp())}:R>) on",
        ),
    ],
)
def test_money_and_time_are_shown_as_they_count(settings: dict[str, Any], line: str) -> None:
    assert line in words(settings_card(view(**settings), Page.MONEY))


@pytest.mark.parametrize("field", GuildField)
def test_every_setting_has_words_for_its_change_of_three_lines_at_most(field: GuildField) -> None:
    for made in (FULLEST, view()):
        said = changed_text(field, made.choices, OFFERED)
        assert said.endswith(".")
        assert said.count("\n") < 3
        assert "!" not in said


def test_allowed_gateways_are_told_by_their_titles() -> None:
    made = view(gateways=frozenset({"hiapi", "shortapi"}))

    assert gateways_text(made.choices, OFFERED) == (
        "Videos are made only by HiAPI or ShortAPI, from the next command on. The free preview is always allowed."
    )


def test_one_of_the_roles_is_enough() -> None:
    made = view(role_ids=frozenset({5, 6}))

    assert changed_text(GuildField.ROLES, made.choices, OFFERED) == (
        "Videos can be made by those who have <@&5> or <@&6>, from the next command on."
    )


@pytest.mark.parametrize(("seconds", "fresh"), [(0, True), (900, True), (901, False), (-60, True), (-61, False)])
def test_a_card_is_answered_for_15_minutes(seconds: int, fresh: bool) -> None:
    now = datetime.fromtimestamp(NOW.timestamp() + seconds, UTC)
    if fresh:
        require_fresh(MARK, now)
    else:
        with pytest.raises(ChangeRejected):
            require_fresh(MARK, now)


def test_a_card_of_the_far_future_is_none_of_ours() -> None:
    with pytest.raises(ChangeRejected):
        require_fresh("z" * 9, NOW)


@pytest.mark.parametrize("moment", [NOW, datetime.fromtimestamp(0, UTC), datetime(2200, 1, 1, tzinfo=UTC)])
def test_the_moment_of_opening_fits_a_custom_id(moment: datetime) -> None:
    mark = opened_mark(moment)

    assert re.fullmatch(OPENED, mark)
    assert int(mark, 36) == int(moment.timestamp())
