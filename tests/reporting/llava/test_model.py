from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from spine_models.reporting.llava.generate import REPEATS, SHORTEST, circle
from spine_models.reporting.llava.images import StudyImages
from spine_models.reporting.llava.model import Llava
from spine_models.reporting.llava.projector import Projector, batch_images
from spine_models.reporting.llava.sequence import ContextTooLong, SequenceError, Turn
from tests.reporting.llava.parts import (
    DIM,
    QUERIES,
    TOKENS,
    WIDTH,
    images,
    tiny_decoder,
    tiny_llava,
    tiny_tokenizer,
)

LONG = "<|image|> <|findings|>canal<|absent|><|/findings|> <|similar|>stenosis at L4-L5<|/similar|> Report?"
DIALOGUES = (
    [Turn("<|image|> Level?", "L4-L5")],
    [Turn(LONG, "mild stenosis of the canal, no end"), Turn("Side?", "left")],
    [Turn("Of <|image|>?", "a")],
)


@pytest.fixture(scope="module", params=["lines", "chat", "tied"])
def llava(request: pytest.FixtureRequest) -> Llava:
    return tiny_llava(
        chat=request.param == "chat", tied=request.param == "tied", pad=request.param == "tied" and 5
    )


def by_hand(llava: Llava, dialogue: list[Turn], study: StudyImages | None) -> list[float]:
    """The loss of every answer token of one dialogue: the decoder run on each prefix, the next token looked up."""
    encoded = llava.encode(dialogue)
    (tokens,) = llava.projector(batch_images([study], DIM))
    table = llava.decoder.model.embed_tokens.weight
    rows, seen = [], 0
    for i in encoded.ids:
        name = llava.tokenizer.convert_ids_to_tokens(i)
        if name == "<|image|>":
            rows.append(tokens[seen])
            seen += 1
        else:
            rows.append(llava.special_rows[TOKENS.index(name)] if name in TOKENS else table[i])
    assert seen == QUERIES
    losses = []
    for at, learned in enumerate(encoded.learned):
        if learned:
            logits = llava.decoder(inputs_embeds=torch.stack(rows[:at])[None]).logits[0, -1]
            losses.append(float(-logits.log_softmax(dim=0)[encoded.ids[at]]))
    return losses


def losses_of(llava: Llava, which: list[int], studies: list[StudyImages | None]) -> Any:
    return llava(llava.batch([llava.encode(DIALOGUES[i]) for i in which], [studies[i] for i in which]))


STUDIES = [images(5, 0), images(30, 1), None]


@torch.no_grad()
def test_only_answers_are_in_the_loss_and_it_is_that_of_a_slow_transcription(llava: Llava) -> None:
    losses = losses_of(llava, [0, 1, 2], STUDIES)
    hand = [by_hand(llava, list(d), s) for d, s in zip(DIALOGUES, STUDIES, strict=True)]
    assert losses.count.tolist() == [len(own) for own in hand]
    torch.testing.assert_close(losses.total, torch.tensor([sum(own) for own in hand]), rtol=1e-5, atol=1e-5)
    batch = llava.batch([llava.encode(d) for d in DIALOGUES], STUDIES)
    mean = sum(map(sum, hand)) / sum(map(len, hand))
    assert float(llava.loss(batch)) == pytest.approx(mean, rel=1e-5)


@torch.no_grad()
def test_a_loss_does_not_depend_on_batch_mates(llava: Llava) -> None:
    together = losses_of(llava, [0, 1, 2], STUDIES)
    for i in range(3):
        alone = losses_of(llava, [i], STUDIES)
        torch.testing.assert_close(alone.total[0], together.total[i], rtol=1e-6, atol=1e-6)
        assert alone.count[0] == together.count[i]


def test_gradients_do_not_come_from_padding(llava: Llava) -> None:
    def gradient(which: list[int]) -> torch.Tensor:
        total = losses_of(llava, which, STUDIES).total
        return torch.autograd.grad(total[which.index(0)], llava.projector.queries)[0]

    torch.testing.assert_close(gradient([0]), gradient([1, 0, 2]), rtol=1e-5, atol=1e-6)


def test_no_answer_is_no_loss(llava: Llava) -> None:
    batch = llava.batch([llava.encode("<|image|>?")], [None])
    loss = llava.loss(batch)
    assert loss.item() == 0.0
    loss.backward()
    assert torch.equal(llava.special_rows.grad, torch.zeros_like(llava.special_rows))
    llava.zero_grad()


@torch.no_grad()
def logits_of(llava: Llava, prompt: str, study: StudyImages | None, written: list[int]) -> torch.Tensor:
    """Logits after a prompt and what was written, without cache or padding, special tokens barred."""
    encoded = llava.encode(prompt)
    ids = torch.tensor([[*encoded.ids, *written]])
    rows = llava.embed(ids, llava.projector(batch_images([study], DIM)))
    logits = llava.decoder(inputs_embeds=rows).logits[0, -1]
    barred = torch.tensor([i for i in range(len(logits)) if i >= len(llava.tokenizer)], dtype=torch.int64)
    logits[barred] = -torch.inf
    for token in TOKENS:
        if (i := llava.tokenizer.convert_tokens_to_ids(token)) < len(logits):
            logits[i] = -torch.inf
    return logits


PROMPTS = ["<|image|> Level?", LONG, "Of <|image|>", "<|image|>"]
SEEN = [images(5, 0), images(30, 1), None, images(1, 3, routes=(1,), known=False)]


def test_writing_is_the_likeliest_token_again_and_again(llava: Llava) -> None:
    for prompt, study in zip(PROMPTS, SEEN, strict=True):
        written: list[int] = []
        stopped = False
        while len(written) < 12 and not stopped:
            token = int(logits_of(llava, prompt, study, written).argmax())
            stopped = token in llava.writer.stops
            written += [] if stopped else [token]
        (made,) = llava.generate([prompt], [study], 12)
        assert made == (llava.writer.text(written), len(written), stopped, 0)


def test_what_is_written_does_not_depend_on_batch_mates(llava: Llava) -> None:
    alone = [llava.generate([p], [s], 16)[0] for p, s in zip(PROMPTS, SEEN, strict=True)]
    assert len({own.text for own in alone}) > 1
    for at_a_time in (1, 2, 8):
        assert llava.generate(PROMPTS, SEEN, 16, at_a_time=at_a_time) == alone
    assert llava.generate(PROMPTS[::-1], SEEN[::-1], 16) == alone[::-1]


def slow_circle(tokens: list[int], repeats: int = REPEATS) -> int:
    """By the definition: the block, written out as often as it must stand there, is the end of the text."""
    for size in range(SHORTEST, len(tokens) + 1):
        if tokens[-size * repeats :] == tokens[-size:] * repeats:
            return size
    return 0


def test_a_circle_is_a_block_that_stands_at_the_end_again_and_again() -> None:
    draw = random.Random(0)
    found = set()
    for _ in range(3000):
        block = [draw.randrange(3) for _ in range(draw.randrange(1, 12))]
        tokens = [draw.randrange(3) for _ in range(draw.randrange(9))] + block * draw.randrange(
            1, REPEATS + 3
        )
        tokens += block[: draw.randrange(2)]
        assert circle(tokens) == slow_circle(tokens)
        found.add(circle(tokens))
    assert {0, 6, 7, 11} <= found
    sentence = [5, 6, 7, 8, 9, 10, 11]
    assert circle([1, 2, *sentence * (REPEATS - 1)]) == 0
    assert circle([1, 2, *sentence * REPEATS]) == 7
    assert circle([1, *sentence, 3, *sentence * (REPEATS - 1)]) == 0
    assert circle([4] * (REPEATS * SHORTEST - 1)) == 0  # a row of dots
    assert circle([4] * REPEATS * SHORTEST) == SHORTEST


def test_a_text_that_goes_round_in_a_circle_ends_there_whatever_else_is_written(
    llava: Llava, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A random decoder soon comes to it: what is kept is what was written up to the first of the repeats."""
    from spine_models.reporting.llava import generate

    room, repeats = 120, 3
    monkeypatch.setattr(generate, "REPEATS", repeats)
    made = llava.generate(PROMPTS, SEEN, room)
    ended_early = 0
    for prompt, study, own in zip(PROMPTS, SEEN, made, strict=True):
        written: list[int] = []
        stopped = size = 0
        while len(written) < room and not stopped and not size:
            token = int(logits_of(llava, prompt, study, written).argmax())
            stopped = token in llava.writer.stops
            written += [] if stopped else [token]
            size = slow_circle(written, repeats)
        kept = written[: len(written) - (repeats - 1) * size]
        assert own == (llava.writer.text(kept), len(kept), bool(stopped), 0)
        ended_early += bool(size)
    assert ended_early
    assert [llava.generate([p], [s], room)[0] for p, s in zip(PROMPTS, SEEN, strict=True)] == made
    assert llava.generate(PROMPTS[::-1], SEEN[::-1], room, at_a_time=3) == made[::-1]


def test_a_tie_is_decided_by_the_row_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding as strong as it gets, another in every batch: what is written stays, for what is close is read anew."""
    from spine_models.reporting.llava import generate

    llava = tiny_llava()
    with torch.no_grad():  # of every two tokens one is as likely as the other
        llava.decoder.lm_head.weight[1::2] = llava.decoder.lm_head.weight[::2]
    head, noise = llava.decoder.lm_head, torch.Generator().manual_seed(0)
    real, spread = head.forward, 1e-6

    def rounding(hidden: torch.Tensor) -> torch.Tensor:
        logits = real(hidden)
        if in_batch[-1]:
            logits = logits + (torch.rand(logits.shape, generator=noise) - 0.5) * spread
        return logits

    in_batch = [True]
    alone = generate._alone
    asked = []

    def quiet(*parts: Any) -> torch.Tensor:
        in_batch.append(False)
        asked.append(1)
        found = alone(*parts)
        in_batch.pop()
        return found

    monkeypatch.setattr(head, "forward", rounding)
    monkeypatch.setattr(generate, "_alone", quiet)
    made = [llava.generate(PROMPTS, SEEN, 10) for _ in range(3)]
    assert made[0] == made[1] == made[2]
    assert asked
    monkeypatch.setattr(generate, "CLOSE", {torch.float32: -1.0})  # the same without reading anew
    assert len({tuple(llava.generate(PROMPTS, SEEN, 10)) for _ in range(3)}) > 1


@torch.no_grad()
def test_the_logits_of_a_padded_row_are_those_of_the_row_alone(
    llava: Llava, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step by step to 1e-6 of the largest, not only as far as the choice of a token shows it."""
    seen: list[torch.Tensor] = []
    head = llava.decoder.lm_head
    real = head.forward

    def listening(hidden: torch.Tensor) -> torch.Tensor:
        seen.append(real(hidden).clone())
        return seen[-1].clone()

    monkeypatch.setattr(head, "forward", listening)
    llava.generate(PROMPTS[:2], SEEN[:2], 6)  # the first is the shorter one, padded on the left
    together, seen = [logits[0] for logits in seen], []
    llava.generate(PROMPTS[:1], SEEN[:1], 6)
    assert len(seen) >= 2
    for alone, padded in zip(seen, together, strict=False):
        assert (alone[0] - padded).abs().max() <= 1e-6 * max(float(padded.abs().max()), 1.0)


def test_the_end_token_ends_a_text_and_is_not_in_it(llava: Llava) -> None:
    (made,) = llava.generate(PROMPTS[:1], SEEN[:1], 12)
    first = int(logits_of(llava, PROMPTS[0], SEEN[0], []).argmax())
    stops, llava.writer.stops = llava.writer.stops, frozenset({first})
    try:
        assert llava.generate(PROMPTS[:2], SEEN[:2], 12)[0] == ("", 0, True, 0)
    finally:
        llava.writer.stops = stops
    assert made.n_tokens <= 12


def test_no_special_token_is_ever_written() -> None:
    """Also by a decoder whose tokenizer knew them, and whose table has rows that stand for no token."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(list(TOKENS), special_tokens=True)
    decoder = tiny_decoder(tokenizer, pad=6)
    own = decoder.model.embed_tokens.weight.detach().clone()
    llava = Llava(decoder, tokenizer, Projector(DIM, WIDTH, queries=QUERIES, heads=2), special_tokens=TOKENS)
    for i, token in enumerate(TOKENS):
        assert torch.equal(llava.special_rows[i], own[tokenizer.convert_tokens_to_ids(token)])
    with torch.no_grad():
        likely = [*range(len(tokenizer), len(own)), *tokenizer.convert_tokens_to_ids(list(TOKENS))]
        decoder.lm_head.weight[likely] *= 50
    batch = llava.encode("<|image|> Level?")
    written: list[int] = []
    text = llava.writer.text
    llava.writer.text = lambda ids: written.extend(ids) or text(ids)
    llava.generate(["<|image|> Level?", "<|image|>"], [None, images(2, 0)], 20)
    assert written
    assert not set(written) & set(likely)
    assert batch.cut == 0


def test_a_special_token_begins_as_the_words_of_its_name() -> None:
    llava = tiny_llava()
    table = llava.decoder.model.embed_tokens.weight
    words = {"<|not_assessed|>": "not assessed", "<|/similar|>": "end similar", "<|present|>": "present"}
    for token, name in words.items():
        ids = llava.tokenizer(name, add_special_tokens=False)["input_ids"]
        torch.testing.assert_close(llava.special_rows[TOKENS.index(token)], table[ids].mean(dim=0))
    rows = llava.special_rows.detach()
    assert torch.cdist(rows, rows).fill_diagonal_(1.0).min() > 1e-3


def test_the_image_is_read(llava: Llava) -> None:
    one, two = (logits_of(llava, "<|image|> Level?", images(8, seed), []) for seed in (0, 1))
    none = logits_of(llava, "<|image|> Level?", None, [])
    finite = one.isfinite()
    assert min((one - two)[finite].abs().max(), (one - none)[finite].abs().max()) > 1e-3


def test_bfloat16_decoder_under_a_float32_projector() -> None:
    tokenizer = tiny_tokenizer()
    decoder = tiny_decoder(tokenizer).to(torch.bfloat16)
    torch.manual_seed(0)
    projector = Projector(DIM, WIDTH, queries=QUERIES, heads=2)
    llava = Llava(decoder, tokenizer, projector, special_tokens=TOKENS).eval()
    assert llava.special_rows.dtype == torch.float32
    losses = losses_of(llava, [0, 1, 2], STUDIES)
    assert losses.total.dtype == torch.float32
    losses.total.sum().backward()
    assert projector.queries.grad.dtype == torch.float32
    assert llava.special_rows.grad.abs().max() > 0
    alone = losses_of(llava, [0], STUDIES)
    torch.testing.assert_close(alone.total[0], losses.total[0], rtol=0.02, atol=0.02)
    single = [llava.generate([p], [s], 24)[0] for p, s in zip(PROMPTS, SEEN, strict=True)]
    for order in ([0, 1, 2, 3], [3, 1, 0, 2], [1, 0]):
        made = llava.generate([PROMPTS[i] for i in order], [SEEN[i] for i in order], 24)
        assert made == [single[i] for i in order]


def test_the_training_mode_is_left_as_it_was_and_nothing_is_drawn() -> None:
    llava = tiny_llava().train()
    state = torch.get_rng_state()
    one = llava.generate(PROMPTS, SEEN, 4)
    assert llava.training
    assert torch.equal(torch.get_rng_state(), state)
    assert llava.generate(PROMPTS, SEEN, 4) == one


def test_a_prompt_that_does_not_fit_is_refused_before_anything_is_written() -> None:
    llava = tiny_llava(context=120)
    with pytest.raises(ContextTooLong, match="110 kept for the answer are more than the 120 of the decoder"):
        llava.generate(["<|image|>", "<|image|> " + "x" * 40], [None, None], 110)
    with pytest.raises(ContextTooLong, match=r"the 30 of llava.max_length"):
        tiny_llava(max_length=30).encode([Turn("<|image|> " + "x" * 40, "y")])
    cut = tiny_llava(max_length=40).generate(
        ["<|image|> <|similar|>" + "x" * 40 + "<|/similar|>"], [None], 10
    )
    assert cut[0].cut > 0
    with pytest.raises(SequenceError, match="0 times"):
        llava.generate(["nothing to see"], [None], 4)


def test_a_projector_for_another_decoder_is_refused() -> None:
    tokenizer = tiny_tokenizer()
    with pytest.raises(ValueError, match="width 16, the decoder takes 32"):
        Llava(tiny_decoder(tokenizer), tokenizer, Projector(DIM, 16, heads=2), special_tokens=TOKENS)
