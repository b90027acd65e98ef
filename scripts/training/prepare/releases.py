"""Which releases can be prepared, in words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Corpus:
    """One release that can be prepared."""

    folder: str
    """Below the data folder."""
    packs: str
    """Files that are made, for people."""
    unit: str
    title: str
    about: str


CORPORA = {
    "fer2013": Corpus(
        "face",
        "fer2013_{train,public,private}.npz",
        "images",
        "FER2013 and FER+: fer2013.csv, fer2013new.csv",
        """\
fer2013.csv (emotion, pixels, Usage; also icml_face_data.csv) and fer2013new.csv, the votes of FER+, anywhere in SOURCE.
The two are joined row by row. In PublicTest and PrivateTest, images that also stand in Training are marked.
The official release has 28,709 + 3,589 + 3,589 images. Takes about a minute and 1 GB of memory.""",
    ),
    "ravdess": Corpus(
        "speech",
        "ravdess.zip + ravdess.csv",
        "clips",
        "RAVDESS, speech: Actor_NN/03-01-EM-IN-ST-RE-AC.wav",
        """\
The speech part, 1440 clips of 24 actors: the folder, or Audio_Speech_Actors_01-24.zip. Songs are passed over.
Actors 02-17 become split train, 18-21 val, 01 and 22-24 test. `calm` stays an emotion of its own.""",
    ),
    "tess": Corpus(
        "speech",
        "tess.zip + tess.csv",
        "clips",
        "TESS: OAF_angry/OAF_back_angry.wav",
        """\
2800 clips: 200 words by two women in seven emotions. File names decide; a folder's name only must not say otherwise.
All clips are of split train: two voices say nothing about a third.""",
    ),
    "cremad": Corpus(
        "speech",
        "cremad.zip + cremad.csv",
        "clips",
        "CREMA-D: AudioWAV/1001_DFA_ANG_XX.wav",
        """\
7442 clips of 91 actors; sex is taken from VideoDemographics.csv if it is in SOURCE, or beside it.
A clone without Git LFS holds pointers instead of sound: run `git lfs pull` in it. All clips are of split train.""",
    ),
    "savee": Corpus(
        "speech",
        "savee.zip + savee.csv",
        "clips",
        "SAVEE: DC_a01.wav, or AudioData/DC/a01.wav",
        """\
480 clips of four men (DC, JE, JK, KL); a d f h n sa su are the emotions. All clips are of split train.""",
    ),
    "ckplus": Corpus(
        "face",
        "ckplus.npz",
        "images",
        "CK+48: anger/S010_004_00000017.png",
        """\
981 pictures of 48x48, a folder per class. Contempt, none of our seven, has label -1, and 7 in ferplus_label.""",
    ),
    "jaffe": Corpus("face", "jaffe.npz", "images", "JAFFE: KA.AN1.39.tiff", "213 pictures of ten women, by file name."),
    "cfe": Corpus(
        "face",
        "cfe.npz",
        "images",
        "Compound Facial Expressions: a folder per class",
        """\
Folders happy, sad, fearful, ... are packed; compound expressions (happily surprised, ...) are of no single class and
left out. Where folders are numbered, say which is which: --classes neutral=01,happy=02""",
    ),
    "folder": Corpus(
        "face",
        "NAME.npz",
        "images",
        "any folder per class of pictures: angry/anything.jpg",
        """\
The nearest folder that names a class decides: angry/x.jpg, test/happiness/x.jpg, 3_sad/x.jpg. anger, angry; disgust,
disgusted; fear, fearful, afraid, scared; happy, happiness, joy; sad, sadness; surprise, surprised; neutral;
contempt.""",
    ),
    "goemotions": Corpus(
        "text",
        "goemotions.tsv.gz",
        "comments",
        "GoEmotions: train.tsv, dev.tsv, test.tsv",
        """\
43,410 + 5,426 + 5,427 comments with 28 emotions, mapped to our seven as in the release's Ekman grouping; comments that
belong to several of the seven are kept as MULTI:angry+sad. emotions.txt is read if it is there.""",
    ),
}
