"""A real Mosquitto for each test that asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mqtt_peers import Broker


@pytest.fixture
def new_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    """Makes brokers, which are not started; they are killed in the end."""
    brokers: list[Broker] = []

    def make(*lines: str) -> Broker:
        folder = tmp_path / f"broker{len(brokers)}"
        folder.mkdir()
        brokers.append(Broker(folder, *lines))
        return brokers[-1]

    yield make
    for broker in brokers:
        broker.kill()


@pytest.fixture
def broker(new_broker: Callable[..., Broker]) -> Broker:
    """A broker that lets everybody in; not started."""
    return new_broker()
