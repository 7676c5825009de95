"""Settings that hold secrets: masked wherever they are shown, and never repeated in a complaint about them."""

from typing import get_args

import pytest
from pydantic import SecretStr

from bot.config import Settings, load_settings
from bot.domain.errors import StartFailed


def holds_secret(annotation: object) -> bool:
    return annotation is SecretStr or any(holds_secret(part) for part in get_args(annotation))


SECRETS = {name for name, setting in Settings.model_fields.items() if holds_secret(setting.annotation)}
# Pasted into the wrong place: with a blank, with a control sign, as an address, far too long, and as it should be.
PASTED = ("canary value", "canary\x00value", "https://canary:value@example.org", "canary-value" * 500, "canary-value")


def shown(name: str, value: str) -> str:
    """Return everything that is shown of a setting: the complaint, or the settings themselves."""
    try:
        settings = load_settings(None, **{name: value})
    except StartFailed as error:
        return f"{error.sentence} {error!r}"
    return f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}" if name in SECRETS else ""


@pytest.mark.parametrize("name", Settings.model_fields)
def test_no_value_is_repeated_in_a_complaint_and_no_secret_is_shown(name: str) -> None:
    """A value in the wrong place is often a key."""
    assert [value for value in PASTED if "canary" in shown(name, value)] == []


@pytest.mark.parametrize("name", sorted(name for name in Settings.model_fields if name.endswith("_url")))
def test_no_address_may_hold_a_name_and_a_password(name: str) -> None:
    with pytest.raises(StartFailed):
        load_settings(None, **{name: "https://user:canary@example.org/api/v10"})


def test_every_secret_is_told_to_the_log_so_that_it_is_masked() -> None:
    given = {name: f"canary-{name}" for name in SECRETS}

    assert len(SECRETS) >= 5
    assert sorted(load_settings(None, **given).secrets()) == sorted(given.values())
