import json
import shutil

import pytest

from cloud.cli import MODELS, main
from cloud.errors import TextError
from cloud.inference.pieces import plain, sentences
from cloud.inference.polarity import SentiWordNet, vader
from cloud.inference.text import MAX_CHARACTERS, TextModel
from edge.errors import ConfigError, ModelError

LEXICON = """\
# comment
a\t1\t0.75\t0\tgood#1\tof a good kind
n\t2\t0.25\t0.25\tgood#2 quality#1\tbenefit
a\t3\t0\t0.625\tbad#1\tnot good
"""


@pytest.fixture(scope="module")
def model():
    return TextModel(MODELS / "text")


@pytest.mark.parametrize(
    ("text", "emotion"),
    [
        ("I am so angry with you, this is an outrage!", "angry"),
        ("That's disgusting, it makes me want to throw up 🤮", "disgust"),
        ("I'm terrified of what could happen tonight.", "fear"),
        ("Thank you so much, this is wonderful ❤️", "happy"),
        ("I miss her so much, I can't stop crying.", "sad"),
        ("Wow, I did not see that coming!", "surprise"),
        ("The train leaves from platform two.", "neutral"),
    ],
)
def test_a_plain_text_gets_its_emotion(model, text, emotion):
    result = model.analyse(text)
    assert result.label == emotion
    assert result.confidence == pytest.approx(result.distribution.probs[emotion], abs=1e-4)
    assert sum(result.distribution.probs.values()) == pytest.approx(1.0, abs=1e-3)


def test_a_doubtful_text_is_unsure_and_a_plain_one_is_not(model):
    assert not model.analyse("Thank you so much, I love it!").unsure
    doubtful = model.analyse("Well, that was something.")
    assert doubtful.unsure
    assert doubtful.confidence < doubtful.threshold


def test_another_language_is_unsure_however_confident_the_model(model):
    result = model.analyse("Ich habe mich gestern wirklich über das schöne Geschenk meiner Großmutter gefreut.")
    assert result.unsure
    assert result.known_words < 0.6


def test_a_long_text_is_judged_sentence_by_sentence(model):
    result = model.analyse("I am so angry about this bill! " * 6 + "Thank you so much, you were wonderful. " * 6)
    assert [part.label for part in result.parts] == ["angry"] * 6 + ["happy"] * 6
    assert {"angry", "happy"} == set(sorted(result.distribution.probs, key=result.distribution.probs.get)[-2:])
    assert result.parts[0].polarity.compound < 0 < result.parts[-1].polarity.compound


def test_every_word_of_an_endless_sentence_is_read(model):
    result = model.analyse("word " * 200 + "and I am so angry")
    assert len(result.parts) > 3
    assert " ".join(part.text for part in result.parts).split() == ["word"] * 200 + ["and", "I", "am", "so", "angry"]


def test_the_answer_does_not_depend_on_what_is_judged_beside_it(model):
    alone = model.judge(["I love it"]).probabilities[0]
    beside = model.judge(["a", "I love it", "what on earth is going on in here, my dear friends?"]).probabilities[1]
    assert alone == pytest.approx(beside, abs=1e-4)


@pytest.mark.parametrize("text", ["", "  \n\t ", "?!... ", "\x00\x1b", "x" * (MAX_CHARACTERS + 1)])
def test_a_text_without_words_or_too_long_is_refused(model, text):
    with pytest.raises(TextError):
        model.analyse(text)


def test_odd_characters_do_no_harm(model):
    assert model.analyse("I\x00love\x1b[31m it \u202e\ud83d so much").label == "happy"
    assert len(model.analyse("a" * MAX_CHARACTERS).parts) == 1


def test_emoji_become_words_and_long_runs_short():
    assert plain("so funny😂👍🏽") == "so funny face with tears of joy thumbs up sign"
    assert plain("noooooo\twayyyyy!!!!!!") == "nooo wayyy!!!"


def test_sentences_end_at_their_marks_but_not_at_abbreviations():
    text = 'Dr. Who came. "Really?" she said! J. Doe, e.g. him, left...\nNext line'
    assert sentences(text) == ["Dr. Who came.", '"Really?', "she said!", "J. Doe, e.g. him, left...", "Next line"]


def test_vader_knows_good_from_bad_and_leaves_the_emotions_alone(model):
    assert vader("This is great").compound > 0.5
    assert vader("This is terrible").compound < -0.4
    assert vader("[]").neutral == 1.0


def test_sentiwordnet_weighs_senses_by_rank(tmp_path):
    path = tmp_path / "lexicon.txt"
    path.write_text(LEXICON)
    found = SentiWordNet(path).polarity("Good, bad and unknown")
    good = (0.75 + 0.5 * 0.25) / 1.5
    assert (found.positive, found.words) == (pytest.approx(good / 2, abs=1e-4), 2)
    assert found.negative == pytest.approx((0.5 * 0.25 / 1.5 + 0.625) / 2, abs=1e-4)


@pytest.mark.parametrize("content", ["", "a\t1\tmuch\t0\tgood#1\tgloss\n", "good 1\n", "a\t1\t0\t0\tgood#0\tgloss\n"])
def test_another_file_is_no_sentiwordnet(tmp_path, content):
    path = tmp_path / "lexicon.txt"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"lexicon\.txt"):
        SentiWordNet(path)


def test_a_changed_file_is_refused(tmp_path):
    folder = tmp_path / "text"
    shutil.copytree(MODELS / "text", folder)
    path = folder / "text-full.onnx"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="sha256"):
        TextModel(folder)


def test_the_command_prints_one_json_object(capsys):
    assert main(["text", "--json", "I love it"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["label"] == "happy"
    assert result["polarity"]["compound"] > 0.5


def test_the_command_prints_for_people_and_says_what_is_wrong(capsys):
    assert main(["text", "Das wäre wirklich außerordentlich bedauerlich gewesen"]) == 0
    out = capsys.readouterr().out
    assert "UNSURE" in out
    assert "is it English?" in out
    assert main(["text", "..."]) == 1
    assert "holds no word" in capsys.readouterr().err
