"""What stands alone in bytes and what is a chance part of one of the product's own keys."""

from __future__ import annotations

import random

import pytest

from spine_models.corpus.deid.gate.needles import Haystack, Needle, of_identifier, of_name

NUMBER = "E600458"
KEY = "d579b6b17ddb021e6ef52a491e600458"


def hits(text: str, *needles: Needle) -> int:
    return Haystack(needles or of_identifier(NUMBER)).hits(text.encode()).total()


@pytest.mark.parametrize(
    "text",
    [
        KEY, f'<code title="{KEY}">', f"a/{KEY}.tar", f"{KEY}{KEY}", KEY.upper(), f"\x01{KEY}\x01",
    ],
)  # fmt: skip
def test_the_end_of_a_key_is_no_number_of_a_patient(text):
    assert len(KEY) == 32
    assert hits(text) == 0


@pytest.mark.parametrize(
    "text",
    [
        NUMBER, f"MRN {NUMBER}", f"id-{NUMBER}.dcm", f"9{NUMBER}", f"{KEY[1:]}", f"0{KEY}", f"z {NUMBER}",
        f"{KEY[:24]}-{NUMBER}", f"g{KEY[1:]}",
    ],
)  # fmt: skip
def test_a_number_anywhere_else_is_found(text):
    assert hits(text) == 1


@pytest.mark.parametrize(
    ("text", "needles"),
    [
        ("20240115" + "A1234567", of_identifier("A1234567")),
        ("20240115" * 3 + "A1234567", of_identifier("A1234567")),
        ("0" * 25 + NUMBER, of_identifier(NUMBER)),
        ("0" * 16 + "abcdef0123456789", of_identifier("abcdef0123456789")),
        (f"{KEY}a{KEY[:31]}", of_identifier(f"a{KEY[:31]}")),
        ("ABAD202401151030", of_name("ABAD^MARIA")[1]),
    ],
)
def test_a_number_that_is_padded_or_joined_to_a_date_is_found(text, needles):
    assert hits(text, *needles) > 0


def test_a_key_that_is_the_number_is_found():
    assert hits(f"x {KEY} y", *of_identifier(KEY)) > 0


def test_a_word_of_hex_letters_is_found_outside_a_key():
    _, single = of_name("Faceb^Deadbe")
    assert hits("seen by Deadbe today", *single) == 1
    assert hits("1deadbe1" + KEY[:24], *single) == 0


def test_a_million_keys_hold_no_number_by_chance():
    draw = random.Random(4)
    numbers = [f"{draw.choice('ABCDEF')}{draw.randrange(10_000):04d}" for _ in range(2000)]
    keys = [f"{draw.getrandbits(128):032x}" for _ in range(30_000)]
    ending = [key for key in keys if key[-5:].upper() in set(numbers) and key[-6].isdigit()]
    assert ending, "some key ends like a number, or nothing is shown"
    needles = [needle for number in numbers for needle in of_identifier(number)]
    assert hits("\n".join(keys), *needles) == 0
