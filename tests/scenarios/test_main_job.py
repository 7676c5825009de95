"""The main job over the wire: a command, a card, a gateway, a video in the channel, and the money right."""

import pytest

from bot.domain.job import Delivery, JobState
from bot.sandbox import samples
from bot.sandbox.gateways.faults import JobFault, ReadFault, Refused, SubmitFault
from tests.scenarios.theatre import theatre, videos

pytestmark = pytest.mark.wire

PROMPT = "A paper boat sails down a rainy street"


async def test_a_text_command_ends_in_a_video_message_and_a_card_that_links_to_it(tmp_path):
    async with theatre(tmp_path) as t:
        interaction = await t.command("video text", {"prompt": PROMPT, "gateway": "shortapi"})
        answer = await interaction.answer(until=lambda message: "channels/" in message.text)
        video = await t.video()
        card = await t.card("discord.com/channels")

        assert "$0.645" in answer.text
        assert answer.ephemeral
        assert PROMPT in video.text
        assert "$0.645" in video.text
        assert str(video.id) in card.text
        assert video.reference is card
        job = await t.job_of(interaction)
        assert (job.state, job.delivery, job.charged_microusd) == (JobState.STORED, Delivery.POSTED, 645_000)


@pytest.mark.parametrize("gateway", ["shortapi", "hiapi", "pixeldojo"])
async def test_reference_pictures_reach_the_gateway_upright_clean_and_in_order(tmp_path, gateway):
    pictures = {"image1": samples.rotated_jpeg(), "image2": samples.transparent_png(), "image3": samples.balloon_webp()}
    async with theatre(tmp_path) as t:
        await t.command("video reference", {"prompt": "[image1] meets @2", "gateway": gateway}, pictures=pictures)
        await t.video()

        stand = getattr(t.gateways, gateway)
        (sandbox_job,) = stand.jobs.values()
        assert len(sandbox_job.asked.addresses) == 3
        token = "character1 meets character2" if gateway == "shortapi" else "[Image 1] meets [Image 2]"
        assert sandbox_job.asked.prompt == token


async def test_the_cheapest_gateway_is_taken_when_none_is_named(tmp_path):
    async with theatre(tmp_path, hiapi_720p_usd_per_s="0.1") as t:
        await t.command("video text", {"prompt": PROMPT})
        await t.video()

        assert len(t.gateways.hiapi.jobs) == 1
        assert not t.gateways.shortapi.jobs


async def test_without_any_key_a_free_preview_is_made_and_marked(tmp_path):
    async with theatre(tmp_path, shortapi_key=None, hiapi_key=None, pixeldojo_key=None) as t:
        said = await t.said("video text", {"prompt": PROMPT, "duration": 3})
        video = await t.video()

        assert "preview" in said
        assert "preview" in video.text.casefold()
        assert "$" not in video.text


async def test_a_private_job_appears_only_in_direct_messages(tmp_path):
    async with theatre(tmp_path) as t:
        await t.command("video image", {"prompt": PROMPT, "private": True}, pictures={"image": samples.balloon_webp()})
        await t.video(t.member.dm)

        assert t.channel.messages == []


async def test_a_private_job_with_closed_direct_messages_is_refused_before_the_hold(tmp_path):
    async with theatre(tmp_path) as t:
        t.member.dms_open = False
        said = await t.said("video text", {"prompt": PROMPT, "private": True})

        assert "Nothing was held." in said
        assert await t.app.store.books() == []


@pytest.mark.parametrize("gateway", ["shortapi", "hiapi", "pixeldojo"])
@pytest.mark.parametrize("refused", [Refused.CONTENT, Refused.KEY])
async def test_a_certain_refusal_fails_the_job_and_charges_nothing(tmp_path, gateway, refused):
    async with theatre(tmp_path) as t:
        getattr(t.gateways, gateway).faults.submit.append(refused)
        interaction = await t.command(
            "video reference",
            {"prompt": PROMPT, "gateway": gateway},
            pictures={"image1": samples.balloon_webp()},
        )
        await t.card("Nothing was charged")

        assert (await t.job_of(interaction)).state is JobState.FAILED
        (book,) = await t.app.store.books()
        assert (book.settled_microusd, book.released_microusd) == (0, book.held_microusd)


@pytest.mark.parametrize("gateway", ["shortapi", "hiapi", "pixeldojo"])
async def test_a_busy_gateway_that_was_named_is_sent_the_job_again_when_it_says_so(tmp_path, gateway):
    async with theatre(tmp_path) as t:
        stand = getattr(t.gateways, gateway)
        stand.faults.submit.append(Refused.BUSY)
        await t.command(
            "video reference",
            {"prompt": PROMPT, "gateway": gateway},
            pictures={"image1": samples.balloon_webp()},
        )
        await t.video()

        assert len(stand.submissions) == 2
        (book,) = await t.app.store.books()
        assert book.settled_microusd == book.billed_microusd > 0


async def test_auto_goes_elsewhere_when_the_cheapest_gateway_has_no_credit_and_the_card_says_who_makes_it(tmp_path):
    async with theatre(tmp_path, hiapi_720p_usd_per_s="0.129") as t:
        t.gateways.shortapi.faults.submit.append(Refused.CREDIT)
        await t.command("video text", {"prompt": PROMPT})
        message = await t.video()

        assert [len(stand.submissions) for stand in (t.gateways.shortapi, t.gateways.hiapi)] == [1, 1]
        assert "HiAPI, HappyHorse 1.1" in message.text


ACCEPTED_UNCLEARLY = [SubmitFault.ACCEPT_THEN_DROP, SubmitFault.ACCEPT_THEN_500, SubmitFault.ACCEPT_THEN_HTML]


@pytest.mark.parametrize("fault", ACCEPTED_UNCLEARLY)
async def test_hiapis_unclear_answer_is_healed_by_a_replay_that_buys_nothing_new(tmp_path, fault):
    async with theatre(tmp_path) as t:
        t.gateways.hiapi.faults.submit.append(fault)
        await t.command("video text", {"prompt": PROMPT, "gateway": "hiapi"})
        await t.video()

        assert len(t.gateways.hiapi.jobs) == 1
        (book,) = await t.app.store.books()
        assert book.settled_microusd == book.held_microusd


@pytest.mark.parametrize("gateway", ["shortapi", "pixeldojo"])
@pytest.mark.parametrize("fault", ACCEPTED_UNCLEARLY)
async def test_an_unclear_answer_keeps_the_hold_and_is_never_sent_again(tmp_path, gateway, fault):
    async with theatre(tmp_path) as t:
        stand = getattr(t.gateways, gateway)
        stand.faults.submit.append(fault)
        interaction = await t.command(
            "video reference",
            {"prompt": PROMPT, "gateway": gateway},
            pictures={"image1": samples.balloon_webp()},
        )
        card = await t.card("has not confirmed")
        await t.restart()

        assert "stays on hold" in card.text
        assert (await t.job_of(interaction)).state is JobState.UNCONFIRMED
        assert len(stand.submissions) == 1
        (book,) = await t.app.store.books()
        assert (book.settled_microusd, book.released_microusd) == (0, 0)


@pytest.mark.parametrize("fault", list(ReadFault))
async def test_a_failed_read_never_fails_a_job(tmp_path, fault):
    async with theatre(tmp_path) as t:
        t.gateways.hiapi.faults.read.extend([fault] * 3)
        await t.command("video text", {"prompt": PROMPT, "gateway": "hiapi"})

        assert await t.video()


@pytest.mark.parametrize("fault", [JobFault.FAILS_CONTENT, JobFault.FAILS_REFUNDED])
async def test_a_job_the_gateway_fails_is_released_and_explained(tmp_path, fault):
    async with theatre(tmp_path) as t:
        t.gateways.shortapi.faults.job.append(fault)
        interaction = await t.command("video text", {"prompt": PROMPT, "gateway": "shortapi"})
        await t.card("Nothing was charged")

        assert (await t.job_of(interaction)).state is JobState.FAILED


async def test_a_stopped_bot_goes_on_where_it_was(tmp_path):
    async with theatre(tmp_path, watch_first_s="2") as t:
        interaction = await t.command("video text", {"prompt": PROMPT, "gateway": "hiapi"})
        await t.card("HiAPI")
        await t.card("● rendering")
        await t.restart()
        await t.card("discord.com/channels")

        assert (await t.job_of(interaction)).delivery is Delivery.POSTED
        assert len(t.gateways.hiapi.submissions) == 1
        assert len(videos(t.channel)) == 1


async def test_the_quota_refuses_what_it_does_not_allow_and_says_what_is_left(tmp_path):
    async with theatre(tmp_path, quota_user_day_usd="1") as t:
        await t.command("video text", {"prompt": PROMPT, "gateway": "shortapi"})
        await t.video()
        said = await t.said("video text", {"prompt": PROMPT, "gateway": "shortapi"})

        assert "$0.645" in said
        assert "$0.355" in said
        assert "Nothing was held." in said


async def test_a_waiting_job_can_be_cancelled_by_its_button_and_by_nobody_else(tmp_path):
    other_prompt = "A second boat"
    async with theatre(tmp_path, jobs_per_user="1") as t:
        t.gateways.hiapi.faults.job.append(JobFault.NEVER_FINISHES)
        await t.command("video text", {"prompt": PROMPT, "gateway": "hiapi"})
        await t.card("HiAPI")
        waiting = await t.command("video text", {"prompt": other_prompt, "gateway": "hiapi"})
        card = await t.card(other_prompt)
        stranger = t.discord.add_user("noa")
        t.guild.add_member(stranger)
        refused = await (await t.discord.press(stranger, card, "Cancel")).answer()
        await t.discord.press(t.member, card, "Cancel")
        await t.card(other_prompt, "released")

        assert (await t.job_of(waiting)).state is JobState.CANCELLED
        assert refused.text == await t.said("video status", {"job": "0000000000000000"}, user=stranger)


async def test_without_permission_to_attach_files_the_command_is_refused(tmp_path):
    async with theatre(tmp_path) as t:
        t.discord.set_bot_permissions(t.channel, t.channel.bot_permissions & ~(1 << 15))
        said = await t.said("video text", {"prompt": PROMPT})

        assert "Attach Files" in said
        assert "Nothing was held." in said


async def test_an_unserved_guild_gets_no_paid_gateway(tmp_path):
    async with theatre(tmp_path, guild_ids="1") as t:
        said = await t.said("video text", {"prompt": PROMPT, "gateway": "hiapi"})

        assert "Nothing was held." in said
        assert not t.gateways.hiapi.submissions


async def test_pausing_from_the_command_line_stops_spending(tmp_path):
    from bot.app import set_paused

    async with theatre(tmp_path) as t:
        await set_paused(t.app.settings, paused=True)
        said = await t.said("video text", {"prompt": PROMPT})

        assert "paused" in said
        assert not t.gateways.hiapi.submissions
