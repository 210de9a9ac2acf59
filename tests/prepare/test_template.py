"""The chat template and the raw form in id space, against the published template written out by hand."""

import re

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from auricle.conversation import Audio, Message, RawPrompt, Role
from auricle.errors import UserError
from auricle.prepare import Prompt, SpecialTokens, render, render_raw
from auricle.text import Tokenizer

START, END, BOS, EOS = ("<|im_start|>",), ("<|im_end|>",), ("<|audio_bos|>",), ("<|audio_eos|>",)
SYSTEM = (START, "system\nYou are a helpful assistant.", END)


def audio(num_tokens: int) -> tuple[tuple[str, ...], ...]:
    return (BOS, ("<|AUDIO|>",) * num_tokens, EOS)


def written(tokenizer: Tokenizer, *pieces: str | tuple[str, ...]) -> tuple[int, ...]:
    """Text pieces, each tokenised as a whole, and special tokens in tuples."""
    ids: list[int] = []
    for piece in pieces:
        ids += tokenizer.encode(piece) if isinstance(piece, str) else [tokenizer.special(name) for name in piece]
    return tuple(ids)


def spoken(tokenizer: Tokenizer, prompt: Prompt) -> list[str]:
    """What the model should say: the text of each run of loss marks; every run ends with one special id."""
    text = "".join("x" if mark else " " for mark in prompt.loss)
    runs = [prompt.ids[match.start() : match.end()] for match in re.finditer("x+", text)]
    assert all(run[-1] == tokenizer.special("<|im_end|>") for run in runs)
    assert not any(tokenizer.special_ids.intersection(run[:-1]) for run in runs)
    return [tokenizer.decode(run) for run in runs]


def test_a_question_about_a_recording(tokenizer: Tokenizer):
    prompt = render([Message("user", (Audio(), "What is said?"))], [7], tokenizer, open_turn=True)
    assert prompt.ids == written(
        tokenizer,
        *SYSTEM,
        "\n",
        START,
        "user\nAudio 1: ",
        *audio(7),
        "\nWhat is said?",
        END,
        "\n",
        START,
        "assistant\n",
    )
    assert not any(prompt.loss)
    [(start, end)] = prompt.audio_spans
    assert prompt.ids[start:end] == (tokenizer.special("<|AUDIO|>"),) * 7
    assert prompt.ids.count(tokenizer.special("<|AUDIO|>")) == 7


def test_recordings_are_numbered_through_the_conversation(tokenizer: Tokenizer):
    messages = [
        Message("system", ("Be brief.",)),
        Message("user", (Audio(), "or", Audio())),
        Message("assistant", ("The first.",)),
        Message("user", ("And ", Audio(), "?")),
    ]
    prompt = render(messages, [2, 3, 4], tokenizer, open_turn=False)
    assert prompt.ids == written(
        tokenizer,
        *(START, "system\nBe brief.", END, "\n"),
        *(START, "user\nAudio 1: ", *audio(2), "\norAudio 2: ", *audio(3), "\n", END, "\n"),
        *(START, "assistant\n", "The first.", END, "\n"),
        *(START, "user\nAnd Audio 3: ", *audio(4), "\n?", END, "\n"),
    )
    assert [end - start for start, end in prompt.audio_spans] == [2, 3, 4]


def test_loss_on_what_the_assistant_says_and_nothing_else(tokenizer: Tokenizer):
    messages = [
        Message("user", ("Hello <|im_end|>", Audio())),
        Message("assistant", ("Good day, ", "stranger <|im_start|>.")),
        Message("user", ("Again?",)),
        Message("assistant", ("Again.",)),
    ]
    prompt = render(messages, [5], tokenizer, open_turn=False)
    assert spoken(tokenizer, prompt) == ["Good day, stranger <|im_start|>.", "Again."]
    assert prompt.loss[-1] is False  # the new line after the last turn


def test_training_and_generation_agree_up_to_the_answer(tokenizer: Tokenizer):
    question = Message("user", ("What is said?",))
    asked = render([question], [], tokenizer, open_turn=True)
    answered = render([question, Message("assistant", ("\nNothing",))], [], tokenizer, open_turn=False)
    assert answered.ids[: len(asked.ids)] == asked.ids
    assert answered.loss.index(True) == len(asked.ids)


def test_text_between_special_tokens_is_tokenised_as_one_piece(tokenizer: Tokenizer):
    assert tokenizer.encode("lang") + tokenizer.encode("uage") != tokenizer.encode("language")
    cut = render([Message("user", ("lang", "uage"))], [], tokenizer, open_turn=True)
    whole = render([Message("user", ("language",))], [], tokenizer, open_turn=True)
    assert cut == whole


def test_no_default_system_where_there_is_one(tokenizer: Tokenizer):
    own = render([Message("system", ("Be brief.",)), Message("user", ("Hi",))], [], tokenizer, open_turn=True)
    default = render([Message("user", ("Hi",))], [], tokenizer, open_turn=True)
    assert own.ids[0] == default.ids[0] == tokenizer.special("<|im_start|>")
    assert "helpful" in tokenizer.decode(default.ids)
    assert "helpful" not in tokenizer.decode(own.ids)


typed = st.lists(st.sampled_from(["<|AUDIO|>", "<|im_end|>", "<|audio_bos|>", "\n<|im_start|>", "hi "]), max_size=5)


@given(text=typed.map("".join), role=st.sampled_from(["system", "user", "assistant"]))
def test_typed_special_tokens_stay_text(any_tokenizer: Tokenizer, text: str, role: str):
    plain = render([Message(role, ("",)), Message("user", (Audio(),))], [3], any_tokenizer, open_turn=True)  # type: ignore[arg-type]
    prompt = render([Message(role, (text,)), Message("user", (Audio(),))], [3], any_tokenizer, open_turn=True)  # type: ignore[arg-type]

    def specials(ids: tuple[int, ...]) -> list[int]:
        return [token_id for token_id in ids if token_id in any_tokenizer.special_ids]

    assert specials(prompt.ids) == specials(plain.ids)
    assert text in any_tokenizer.decode(prompt.ids)


@pytest.mark.parametrize(("places", "given_"), [(0, 1), (1, 0), (2, 1), (1, 3)])
def test_as_many_recordings_as_places(places: int, given_: int, tokenizer: Tokenizer):
    with pytest.raises(UserError, match=rf"places for {places} recordings but {given_} were given; give one"):
        render([Message("user", (Audio(),) * places)], [3] * given_, tokenizer, open_turn=True)


def test_a_recording_in_the_assistants_turn_is_refused(tokenizer: Tokenizer):
    messages = [Message("user", ("Sing!",)), Message("assistant", (Audio(),))]
    with pytest.raises(UserError, match=r"the assistant's turn holds a recording"):
        render(messages, [3], tokenizer, open_turn=False)


def test_raw_form(tokenizer: Tokenizer):
    prompt = render_raw(RawPrompt((Audio(), Audio(), "Detect the language:")), [2, 3], tokenizer)
    assert prompt.ids == written(tokenizer, *audio(2), *audio(3), "Detect the language:")
    assert [end - start for start, end in prompt.audio_spans] == [2, 3]
    assert not any(prompt.loss)


def test_raw_form_with_an_answer(tokenizer: Tokenizer):
    asked = render_raw(RawPrompt((Audio(), "language:")), [2], tokenizer)
    answered = render_raw(RawPrompt((Audio(), "language:")), [2], tokenizer, answer=" fox <|im_end|>")
    assert answered.ids[: len(asked.ids)] == asked.ids
    assert spoken(tokenizer, answered) == [" fox <|im_end|>"]
    end_id = tokenizer.special("<|endoftext|>")
    other = render_raw(RawPrompt((Audio(), "language:")), [2], tokenizer, answer="fox", end_id=end_id)
    assert other.ids[-1] == end_id
    assert other.loss[-1]


@pytest.fixture(scope="module")
def tagged(tokenizer_json: str) -> Tokenizer:
    """A tokenizer that has language tags as tokens."""
    library = tokenizers.Tokenizer.from_str(tokenizer_json)
    library.add_special_tokens(["<|en|>", "<|zh|>", "<|transcribe|>"])
    return Tokenizer(library.to_str())


def test_raw_form_with_language_tokens(tagged: Tokenizer):
    raw = RawPrompt(("<|zh|>", Audio(), "recognize the", " speech: <|en|>", "<|im_end|><|transcribe|><|fr|>"))
    prompt = render_raw(raw, [2], tagged, answer=" <|en|>fox <|im_end|>")
    asked = (
        *(("<|zh|>",), *audio(2), "recognize the speech: ", ("<|en|>",)),
        "<|im_end|><|transcribe|><|fr|>",
    )
    answer = (" ", ("<|en|>",), "fox <|im_end|>", END)
    assert prompt.ids == written(tagged, *asked, *answer)
    num_asked = len(written(tagged, *asked))
    assert prompt.loss == (False,) * num_asked + (True,) * (len(prompt.ids) - num_asked)


def test_raw_form_without_language_tokens(any_tokenizer: Tokenizer):
    prompt = render_raw(RawPrompt((Audio(), "speech: <|en|>")), [2], any_tokenizer, answer=" <|en|>fox")
    assert prompt.ids == written(any_tokenizer, *audio(2), "speech: <|en|>", " <|en|>fox", END)


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_language_tokens_stay_text_in_the_chat_template(tagged: Tokenizer, tokenizer: Tokenizer, role: Role):
    messages = [Message(role, ("<|en|>fox",)), Message("user", ("<|zh|>",))]
    assert render(messages, [], tagged, open_turn=True) == render(messages, [], tokenizer, open_turn=True)


def test_a_tokenizer_of_another_model_is_refused(tokenizer_json: str):
    other = Tokenizer(tokenizer_json.replace("<|audio_eos|>", "<|other|>"))
    with pytest.raises(UserError, match=r"the tokenizer has no <\|audio_eos\|>"):
        SpecialTokens.of(other)


@pytest.mark.parametrize(("max_tokens", "fits"), [(14, True), (13, False)])
def test_a_prompt_without_room_for_its_answer_is_refused(max_tokens: int, fits: bool):
    prompt = Prompt((1,) * 10, (False,) * 10, ())
    if fits:
        prompt.require_room(max_tokens, num_new=4)
    else:
        with pytest.raises(UserError, match=r"prompt too long: 10 tokens and 4 to answer, expected at most 13"):
            prompt.require_room(max_tokens, num_new=4)


def test_ids_and_loss_of_one_length():
    with pytest.raises(ValueError, match="2 ids but 1 loss marks"):
        Prompt((1, 2), (False,), ())
