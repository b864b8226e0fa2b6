"""The text that the measured mixture of experts is made on."""

import hashlib
from importlib import resources

from slipstream.bench.split_model import LONGEST, calibration
from slipstream.models.embedded import embedded_model

DIGEST = "9d7e4d0e13480b1853e76acca386a05d8554b23afc3f1cb9705e7cfb00c5622e"


def test_the_calibration_text_is_the_one_behind_the_published_curve() -> None:
    text = resources.files("slipstream.bench").joinpath("calibration.txt").read_bytes()
    assert hashlib.sha256(text).hexdigest() == DIGEST, "another text makes other experts: measure the curve again"


def test_it_is_read_in_contexts() -> None:
    texts = calibration(embedded_model())
    assert sum(map(len, texts)) > 5000 and {len(one) for one in texts[:-1]} == {LONGEST}
