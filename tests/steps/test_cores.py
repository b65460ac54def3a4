"""How many cores there are: by affinity, and by the quotas of control groups."""

import math
import os

import pytest

from pipeline.steps.cores import cores, quota


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ([], math.inf),
        (["max 100000\n"], math.inf),
        (["200000 100000\n"], 2.0),
        (["50000 100000\n"], 0.5),
        (["max 100000\n", "300000 100000\n", "150000 100000\n"], 1.5),
        (["", "words", "1", "1 0", "-1 100000", "1 2 3"], math.inf),
    ],
)
def test_the_least_quota_counts_and_what_is_none_does_not(texts, found):
    assert quota(texts) == found


@pytest.mark.parametrize(
    ("own", "quotas", "least"),
    [
        ("0::/\n", {"": "50000 100000"}, 1),
        ("0::/\n", {}, None),
        ("9:name=systemd:/\n0::/pods/mine\n", {"pods": "100000 100000", "pods/mine": "max 100000"}, 1),
        ("0::/pods/mine\n", {"pods/other": "50000 100000"}, None),
        ("4:cpu:/pods\n", {"": "50000 100000"}, None),
    ],
    ids=["a container's own", "none", "that of a group around it", "another's", "only version 1"],
)
def test_the_groups_that_the_process_is_in_are_asked(tmp_path, own, quotas, least):
    (tmp_path / "cgroup").write_text(own)
    for group, text in quotas.items():
        (tmp_path / "fs" / group).mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / group / "cpu.max").write_text(text)
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert cores(tmp_path / "cgroup", tmp_path / "fs") == (there if least is None else least)
