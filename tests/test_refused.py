"""Why models could not be loaded: of how many that is kept."""

from pipeline.refused import Refused


def test_what_is_known_keeps_its_reason_however_many_others_fail():
    reasons = Refused()
    reasons.add("known", "no weights", {"known"})
    for number in range(250):
        reasons.add(f"n{number}", str(number), {"known"})
    assert list(reasons) == ["known", *(f"n{number}" for number in range(150, 250))]
    assert (reasons.of("known"), reasons.of("n249"), reasons.of("n0")) == ("no weights", "249", None)


def test_the_latest_reason_is_the_one_and_makes_its_name_the_latest():
    reasons = Refused()
    for number in range(100):
        reasons.add(f"n{number}", "first", ())
    reasons.add("n0", "again", ())
    reasons.add("one more", "first", ())
    assert reasons.of("n0") == "again"
    assert "n1" not in reasons
    reasons.forget("n0")
    assert "n0" not in reasons
