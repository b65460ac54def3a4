"""What a hook takes of what it is offered, how it is run, and which hooks share a trip."""

import functools

import pytest

from pipeline.hooks import Hook, Manner, hook_of, hops_of


def one(payload): ...
def two(payload, headers=None): ...
def three(payload, headers, response_headers): ...
def any_names(body, h): ...
def by_name(payload, *, response_headers): ...
def some(payload, *rest): ...
def rest_by_name(payload, **rest): ...


@pytest.mark.parametrize(
    ("function", "offered", "given"),
    [
        (one, 3, (("P",), {})),
        (two, 3, (("P", "H"), {})),
        (three, 3, (("P", "H", "R"), {})),
        (any_names, 3, (("P", "H"), {})),
        (by_name, 3, (("P",), {"response_headers": "R"})),
        (by_name, 2, (("P",), {})),
        (some, 2, (("P", "H"), {})),
        (some, 3, (("P", "H", "R"), {})),
        (rest_by_name, 3, (("P",), {})),
        (three, 2, (("P", "H"), {})),
    ],
)
def test_a_hook_is_given_what_it_takes(function, offered, given):
    @functools.wraps(function)
    def seen(*positional, **named):
        return positional, named

    assert hook_of(seen, offered=offered).call("P", "H", "R") == given


def test_one_without_a_readable_signature_is_given_all():
    assert hook_of(max, offered=2).call(1, 2, 9) == 2


async def awaited(payload): ...
async def asynchronous(payload):
    yield payload


def generator(payload):
    yield payload


@pytest.mark.parametrize(
    ("function", "manner"),
    [
        (one, Manner.BLOCKING),
        (awaited, Manner.AWAITED),
        (functools.partial(awaited), Manner.AWAITED),
        (asynchronous, Manner.AT_ONCE),
        (generator, Manner.AT_ONCE),
    ],
)
def test_the_manner_of_a_hook_is_seen_without_calling_it(function, manner):
    assert hook_of(function, offered=1).manner is manner


def letters(hops):
    return [("".join(hook.manner.name[1] for hook in hop.hooks), hop.manner.name) for hop in hops]


B, W, T = (Hook(None, manner) for manner in (Manner.BLOCKING, Manner.AWAITED, Manner.AT_ONCE))


@pytest.mark.parametrize(
    ("hooks", "hops"),
    [
        ([], []),
        ([B, B], [("LL", "BLOCKING")]),
        ([B, T, B], [("LTL", "BLOCKING")]),
        ([T, B], [("TL", "BLOCKING")]),
        ([T, W, T, B], [("TWT", "AWAITED"), ("L", "BLOCKING")]),
        ([B, W, W, B], [("L", "BLOCKING"), ("WW", "AWAITED"), ("L", "BLOCKING")]),
        ([T, T], [("TT", "AT_ONCE")]),
    ],
)
def test_neighbours_of_one_manner_share_a_trip(hooks, hops):
    assert letters(hops_of(hooks)) == hops


async def test_a_hop_hands_each_hook_what_the_one_before_it_gave():
    async def doubled(value):
        return 2 * value

    hooks = [hook_of(doubled, offered=1), Hook(lambda value, headers, told: value + 1, Manner.AT_ONCE)]
    (hop,) = hops_of(hooks)
    assert await hop.awaited(3, {}, {}) == 7
    blocking = hops_of([Hook(lambda value, headers, told: value + 1, Manner.BLOCKING)] * 2)[0]
    assert blocking.run(3, {}, {}) == 5
