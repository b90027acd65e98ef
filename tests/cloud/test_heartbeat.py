import asyncio

import msgspec
from cloud_messages import availability, birth, reading

from cloud.arrivals import Arrival
from cloud.heartbeat import Heartbeat


def beats(sites, use, *, interval_s=60.0):
    """Run a heartbeat beside `use(heartbeat)`; return (site, state) of what it published."""
    published = []

    async def publish(topic, payload):
        published.append((topic.split("/")[2], msgspec.json.decode(payload)["state"]))

    async def main():
        heartbeat = Heartbeat(sites, interval_s=interval_s)
        running = asyncio.create_task(heartbeat.run(publish))
        await asyncio.sleep(0.02)
        await use(heartbeat)
        running.cancel()
        await heartbeat.stop(publish)

    asyncio.run(main())
    return published


def notice(heartbeat, message, site="home"):
    heartbeat.notice(Arrival(site, "front-door", message, 1.0))


def test_known_sites_hear_of_the_start_and_of_the_end():
    async def nothing(_):
        pass

    assert beats(["a", "b"], nothing) == [("a", "online"), ("b", "online"), ("a", "stopped"), ("b", "stopped")]


def test_a_new_site_hears_it_at_once():
    async def use(heartbeat):
        notice(heartbeat, reading())
        await asyncio.sleep(0.05)

    assert beats([], use) == [("home", "online"), ("home", "stopped")]


def test_a_device_that_comes_up_hears_it_at_once():
    async def use(heartbeat):
        notice(heartbeat, birth())
        await asyncio.sleep(0.05)

    assert beats(["home"], use)[:2] == [("home", "online")] * 2


def test_a_site_that_comes_back_as_a_whole_hears_a_beat_a_second_and_one_after_the_last():
    async def use(heartbeat):
        for _ in range(20):
            notice(heartbeat, birth())
            notice(heartbeat, birth(), site="shop")
            await asyncio.sleep(0.01)
        await asyncio.sleep(1.5)

    assert beats(["home", "shop"], use).count(("home", "online")) == 3  # of the start, at once, and a second later


def test_a_reading_of_a_known_site_is_no_reason_to_beat():
    async def use(heartbeat):
        for _ in range(10):
            notice(heartbeat, reading())
        notice(heartbeat, availability("lost"))
        await asyncio.sleep(0.05)

    assert beats(["home"], use) == [("home", "online"), ("home", "stopped")]


def test_it_beats_again_and_again():
    async def use(_):
        await asyncio.sleep(0.5)

    assert beats(["home"], use, interval_s=0.1).count(("home", "online")) >= 4
