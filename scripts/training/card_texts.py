"""What the model cards say that is not measured."""

from __future__ import annotations

NOTICE = (
    "An expression is not a feeling: this model names what a face looks like, or a voice sounds like, to others. "
    "It cannot tell what anyone feels, means or will do."
)

INPUTS = {
    "gray48": "48x48 gray crop of a face, eyes level, as float32 value / 255 in [0, 1]",
    "logmel64": "log-mel of 3 s of sound, 186x64, float32 in [-4, 4], exactly by `edge/perception/features.py`",
}

NETS = {
    "face-full": "residual, 3x3 convolutions; mean logits of ten looks, at five places, a pixel apart, and mirrored; "
    "where there are several nets, they take turns: `scripts/training/nets.py`",
}
"""By the name of the model, where there is more to say than of all."""

FORBIDDEN = """\
- Deciding about people: marks, hiring, promotion, discipline, credit, insurance, policing, borders, health.
- Inferring emotions in workplaces or schools without a medical or safety basis (EU AI Act, Art. 5(1)(f)).
- Identifying people, detecting lies, fatigue, illness or intent: the model measures none of these.
- Any use without telling the people in view, and any commercial use: see Licence."""

GATES = (
    "A reading stays on the device if its largest calibrated probability reaches the threshold: the lowest for which "
    "the one-sided 95 % Clopper-Pearson bound of the error among kept calibration examples is at most 10 %, tested "
    "from the strict end. Identical pictures count once, clips of one speaker less. It speaks of pictures and sounds "
    "like the calibration half's, not of every place; `gate.alpha` asks for another rate."
)

_FACE_DATA = """\
- FER2013 (Goodfellow et al. 2013): 28,709 training images from a web search; made for a contest, no licence stated.
- FER+ (Barsoum et al. 2016, MIT): ten annotators' votes per image. Single votes, contempt, unknown, "not a face" are
  dropped; images with fewer than five votes left teach the FER2013 head only.
- Validation is PublicTest, split in two halves with identical images together: one to watch training, calibrate and
  choose thresholds, the other held back for the figures below. PrivateTest was never read.
- Some PublicTest images also stand, nearly or exactly, in the training set: there is a figure without them.
- The device's model may have learnt from the cloud's answers on the training images: see "Made by"."""

_SPEECH_DATA = """\
- RAVDESS speech (Livingstone & Russo 2018, CC BY-NC-SA 4.0): actors 02-17 train; 18 and 19 watch training, calibrate
  and choose thresholds; 20 and 21 are held back for the figures below. Actors 01 and 22-24 were never read. Where nets
  were trained with --fold, each without four of the training actors, what these say of the four counts for
  calibration, fusion and thresholds as well.
- TESS (Pichora-Fuller & Dupuis 2020, CC BY-NC-ND 4.0): training only, at half weight, for it has two speakers.
- Backgrounds mixed in during training: ESC-10 clips (CC0 / CC BY), kitchen noises of Picovoice's speech-to-intent
  benchmark (Apache-2.0).
- All of it is acted, in English, in a studio; RAVDESS repeats two sentences.
- The device's model may have learnt from the cloud's answers on the training clips: see "Made by"."""

_FACE_LICENCE = """\
Weights: see LICENSE beside this page. FER2013's images carry no stated licence; treat the weights as for research and
private evaluation, and take legal advice before anything else."""

_SPEECH_LICENCE = """\
Weights: CC BY-NC-SA 4.0, see LICENSE beside this page: no commercial use. TESS is CC BY-NC-ND; who holds that weights
are derivatives of it must retrain without (leave TESS out of the data folder)."""

TEXTS = {
    "face": {
        "summary": "Names the expression of one face in a small gray crop.",
        "use": "Readings of expression in research, demonstrations and, with a declared basis, vehicles, as one "
        "uncertain signal among others, always with its confidence.",
        "data": _FACE_DATA,
        "figures": "FER+ majorities (over half of the votes, contempt left out) are the truth that means something; "
        "FER2013 labels, which people confirm in about two cases of three, are what the literature reports.",
        "fairness": "By the quality of the picture, in terciles of the held-back half, head `ferplus`. The images "
        "say nothing of age, sex or skin, so fairness by these **could not be measured** and must be before any "
        "deployment.",
        "limits": "- Web images of 2013: ages, skin tones, cultures and lighting as a search engine gave them, "
        "unbalanced and unlabelled.\n"
        "- Disgust and fear are rare in the data and poorly recognised.\n"
        "- Profiles, masks, hands, infrared light and faces smaller than about 40 pixels make it worse.",
        "licence": _FACE_LICENCE,
    },
    "speech": {
        "summary": "Names the vocal tone of three seconds of speech; words are not understood.",
        "use": "Readings of vocal tone in research, demonstrations and, with a declared basis, vehicles, as one "
        "uncertain signal among others, always with its confidence.",
        "data": _SPEECH_DATA,
        "figures": "Speakers never heard in training; eight emotions, so chance is 12.5 %. With two speakers in it the "
        "held-back half is small: an accuracy of 60 % on 120 clips is known to about +-9 points, by sex worse. "
        "`scripts/evaluate strangers` judges sixteen speakers, by nets that never heard them.",
        "fairness": "By the actor's sex and by speaker. Two held-back speakers, one woman and one man, are an example, "
        "no measurement of fairness; `scripts/evaluate speech --groups sex` measures any pack.",
        "limits": "- Acted emotions are stronger than everyday ones: expect less in the field.\n"
        "- North American English only. Age, accent, illness and language change the voice more than emotion does.\n"
        "- Music, several voices at once and loud rooms make it worse.",
        "licence": _SPEECH_LICENCE,
    },
}
