"""`gallop` on the command line: what it lists, and what it says to nonsense."""

from importlib.metadata import version

import pytest
from click.testing import CliRunner, Result

from bot.__main__ import cli


def gallop(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, prog_name="gallop")


def test_help_lists_every_command_with_what_it_does() -> None:
    result = gallop("--help")

    assert result.exit_code == 0
    assert "a slash command, pictures, and a HappyHorse video" in " ".join(result.output.split())
    listed = {line.split()[0]: line.split(maxsplit=1)[1] for line in _commands(result.output)}
    assert set(listed) == set(cli.commands)
    assert all(listed.values())


def _commands(output: str) -> list[str]:
    return [line for line in output.partition("Commands:\n")[2].splitlines() if line.strip()]


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_explains_itself(command: str) -> None:
    result = gallop(command, "--help")

    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: gallop {command}")


def test_an_unknown_command_is_an_error_that_says_how_to_get_help() -> None:
    result = gallop("gallop")

    assert result.exit_code == 2
    assert "No such command 'gallop'" in result.output
    assert "--help" in result.output


def test_it_says_its_version() -> None:
    assert version("gallop") in gallop("--version").output
