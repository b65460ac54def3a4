"""Who is answered alone, and whose replies go out together."""

import trio

from pipeline.wire.codec import Reply
from server.company import Company
from server.connected import Connected
from server.http1 import Http1
from tests.server.memory import Memory, refusal

ASKED = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


def test_the_only_one_that_is_answered_has_no_others():
    company, own = Company(), object()
    company.has_others(own)
    assert [company.has_others(own) for _ in range(3)] == [False] * 3


def test_those_that_are_answered_in_turns_have_each_other():
    company, one, other = Company(), object(), object()
    company.has_others(other)
    assert [company.has_others(own) for own in (one, other, one, other)] == [True] * 4


def test_one_that_is_left_alone_has_no_others_from_its_second_answer_on():
    company, one, other = Company(), object(), object()
    company.has_others(other)
    assert [company.has_others(one) for _ in range(3)] == [True, False, False]


async def test_what_came_together_is_first_handled_and_then_sent():
    said: list[str] = []
    company = Company()

    async def converse(name: str) -> None:
        memory = Telling(name, said)
        state = Connected()
        state.moving = memory

        async def answer(head, body, outgoing):
            said.append(f"{name} is answered")
            return Reply(200, {}, (b"yes",))

        with state.scope:
            await Http1(memory, state, answer, refusal, lambda: "", 10, company).converse(may_upgrade=False)

    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(converse, name)

    assert sorted(said[:3]) == [f"{name} is answered" for name in "abc"]
    assert sorted(said[3:]) == [f"{name} is sent" for name in "abc"]


class Telling(Memory):
    """Says when something is sent."""

    def __init__(self, name: str, said: list[str]) -> None:
        super().__init__(ASKED)
        self._name, self._said = name, said

    def send_now(self, parts):
        self._said.append(f"{self._name} is sent")
        return super().send_now(parts)
