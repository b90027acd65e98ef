"""What the sign for the door says, in the words of each language. Latin-1 only: that is what a PDF's own fonts have."""

from __future__ import annotations

from typing import Literal

Lang = Literal["en", "de", "fr"]

ENGLISH = {
    "title_both": "Facial expression and vocal tone are read here",
    "title_camera": "Facial expression is read here",
    "title_microphone": "Vocal tone is read here",
    "title_presence": "Faces are counted and voices are noticed here",
    "title_closed": "Camera and microphone are switched off",
    "demo": "Demonstration: everything is switched on, for people who know that they are looked at.",
    "what": "What this device does",
    "closed": "Nothing. Its camera and its microphone are closed.",
    "person_face": "Of the person nearest to the camera it estimates how likely each of seven facial expressions is.",
    "person_voice": "From the voices it hears it estimates how likely each vocal tone is, not what is said.",
    "group_face": "It counts how many people in the room show which facial expression. No result is about one person.",
    "group_voice": "It counts which vocal tones are heard, whoever speaks, but not what is said.",
    "presence_face": "It counts faces. It does not read their expression.",
    "presence_voice": "It notices whether somebody speaks. It reads neither words nor tone.",
    "alert": "A light or a tone may answer an expression that lasts. It does not measure fatigue.",
    "light": "While the light on the device is lit, camera or microphone is open.",
    "switch": "A switch on the device closes camera and microphone.",
    "leaves": "What leaves this device",
    "nothing": "Nothing: it is connected to no service.",
    "state": "Its technical state, such as faults and temperature.",
    "readings": "Every {window} seconds: the number of faces and the estimates, as numbers.",
    "presence_readings": "Every {window} seconds: the number of faces and the share of time with a voice, as numbers.",
    "aggregates": "Every {period} seconds: rounded counts for the whole room. What fewer than {k} people show is left "
    "out.",
    "presence_aggregates": "Every {period} seconds: the number of faces in the room, rounded down to a multiple of "
    "{k}, and how often a voice was there.",
    "log_mel": "When it is not sure, it may ask its operator's cloud service and send a picture of the sound "
    "(a spectrogram), from which speech can be made audible again. It is not stored.",
    "crops": "When it is not sure, it may ask its operator's cloud service and send up to three small grey pictures of "
    "a face (48 x 48 pixels). They are not stored.",
    "never": "What it never does",
    "identity": "It recognises nobody, and it stores neither pictures nor sound.",
    "media": "No picture and no sound leaves it.",
    "feel": "It cannot know what anybody feels: estimates of expression and tone can be wrong.",
    "why": "Why it may do so",
    "medical": "For medical reasons, as its operator has declared.",
    "safety": "For safety, as its operator has declared.",
    "study": "For a study with the consent of those taking part: consent {id}, ethics approval {ethics}, until {date}.",
    "who": "Who answers for it",
    "operator": "Operator",
    "contact": "Contact",
    "device": "Device",
    "footer": "Mien {version}. Worded by the device's policy (mode {mode}, {setting}, {jurisdiction}) on {date}.",
}

GERMAN = {
    "title_both": "Hier werden Gesichtsausdruck und Stimmklang ausgewertet",
    "title_camera": "Hier wird der Gesichtsausdruck ausgewertet",
    "title_microphone": "Hier wird der Stimmklang ausgewertet",
    "title_presence": "Hier werden Gesichter gezählt und Stimmen bemerkt",
    "title_closed": "Kamera und Mikrofon sind ausgeschaltet",
    "demo": "Vorführung: Alles ist eingeschaltet, für Menschen, die wissen, dass sie betrachtet werden.",
    "what": "Was dieses Gerät tut",
    "closed": "Nichts. Seine Kamera und sein Mikrofon sind geschlossen.",
    "person_face": "Bei der Person, die der Kamera am nächsten ist, schätzt es, wie wahrscheinlich jeder von sieben "
    "Gesichtsausdrücken ist.",
    "person_voice": "An den Stimmen, die es hört, schätzt es, wie wahrscheinlich jeder Stimmklang ist, nicht, was "
    "gesagt wird.",
    "group_face": "Es zählt, wie viele Menschen im Raum welchen Gesichtsausdruck zeigen. Kein Ergebnis betrifft eine "
    "einzelne Person.",
    "group_voice": "Es zählt, welche Stimmklänge zu hören sind, wer immer spricht, nicht, was gesagt wird.",
    "presence_face": "Es zählt Gesichter. Ihren Ausdruck wertet es nicht aus.",
    "presence_voice": "Es bemerkt, ob jemand spricht. Weder Worte noch Stimmklang wertet es aus.",
    "alert": "Ein Licht oder ein Ton kann auf einen anhaltenden Ausdruck antworten. Müdigkeit misst es nicht.",
    "light": "Solange das Licht am Gerät leuchtet, ist die Kamera oder das Mikrofon geöffnet.",
    "switch": "Ein Schalter am Gerät schließt Kamera und Mikrofon.",
    "leaves": "Was dieses Gerät verlässt",
    "nothing": "Nichts: Es ist mit keinem Dienst verbunden.",
    "state": "Sein technischer Zustand, etwa Störungen und Temperatur.",
    "readings": "Alle {window} Sekunden: die Zahl der Gesichter und die Schätzungen, als Zahlen.",
    "presence_readings": "Alle {window} Sekunden: die Zahl der Gesichter und der Zeitanteil mit Stimme, als Zahlen.",
    "aggregates": "Alle {period} Sekunden: gerundete Zahlen für den ganzen Raum. Was weniger als {k} Menschen zeigen, "
    "wird weggelassen.",
    "presence_aggregates": "Alle {period} Sekunden: die Zahl der Gesichter im Raum, abgerundet auf ein Vielfaches von "
    "{k}, und wie oft eine Stimme da war.",
    "log_mel": "Ist es unsicher, so darf es den Cloud-Dienst des Betreibers fragen und ihm ein Bild des Schalls (ein "
    "Spektrogramm) senden, aus dem Sprache wieder hörbar gemacht werden kann. Es wird nicht gespeichert.",
    "crops": "Ist es unsicher, so darf es den Cloud-Dienst des Betreibers fragen und ihm bis zu drei kleine graue "
    "Bilder eines Gesichts (48 x 48 Bildpunkte) senden. Sie werden nicht gespeichert.",
    "never": "Was es niemals tut",
    "identity": "Es erkennt niemanden wieder und speichert weder Bild noch Ton.",
    "media": "Kein Bild und kein Ton verlässt das Gerät.",
    "feel": "Es kann nicht wissen, was jemand fühlt: Schätzungen von Ausdruck und Klang können falsch sein.",
    "why": "Warum es das darf",
    "medical": "Aus medizinischen Gründen, wie der Betreiber erklärt hat.",
    "safety": "Aus Gründen der Sicherheit, wie der Betreiber erklärt hat.",
    "study": "Für eine Studie mit Einwilligung der Teilnehmenden: Einwilligung {id}, Ethikvotum {ethics}, bis {date}.",
    "who": "Wer dafür verantwortlich ist",
    "operator": "Betreiber",
    "contact": "Kontakt",
    "device": "Gerät",
    "footer": "Mien {version}. Formuliert nach den Regeln des Geräts (Modus {mode}, {setting}, {jurisdiction}) am "
    "{date}.",
}

FRENCH = {
    "title_both": "Ici, l'expression du visage et le ton de la voix sont analysés",
    "title_camera": "Ici, l'expression du visage est analysée",
    "title_microphone": "Ici, le ton de la voix est analysé",
    "title_presence": "Ici, les visages sont comptés et les voix détectées",
    "title_closed": "La caméra et le microphone sont éteints",
    "demo": "Démonstration : tout est activé, pour des personnes qui savent qu'elles sont observées.",
    "what": "Ce que fait cet appareil",
    "closed": "Rien. Sa caméra et son microphone sont fermés.",
    "person_face": "Pour la personne la plus proche de la caméra, il estime la probabilité de chacune de sept "
    "expressions du visage.",
    "person_voice": "À partir des voix qu'il entend, il estime la probabilité de chaque ton, et non ce qui est dit.",
    "group_face": "Il compte combien de personnes dans la salle montrent chaque expression. Aucun résultat ne concerne "
    "une seule personne.",
    "group_voice": "Il compte les tons de voix entendus, quelle que soit la personne qui parle, et non ce qui est dit.",
    "presence_face": "Il compte les visages. Il n'analyse pas leur expression.",
    "presence_voice": "Il détecte si quelqu'un parle. Il n'analyse ni les mots ni le ton.",
    "alert": "Une lumière ou un son peut répondre à une expression qui dure. Il ne mesure pas la fatigue.",
    "light": "Tant que le voyant de l'appareil est allumé, la caméra ou le microphone est ouvert.",
    "switch": "Un interrupteur sur l'appareil ferme la caméra et le microphone.",
    "leaves": "Ce qui sort de cet appareil",
    "nothing": "Rien : il n'est relié à aucun service.",
    "state": "Son état technique, par exemple les pannes et la température.",
    "readings": "Toutes les {window} secondes : le nombre de visages et les estimations, sous forme de nombres.",
    "presence_readings": "Toutes les {window} secondes : le nombre de visages et la part du temps avec une voix, sous "
    "forme de nombres.",
    "aggregates": "Toutes les {period} secondes : des nombres arrondis pour toute la salle. Ce que montrent moins de "
    "{k} personnes est omis.",
    "presence_aggregates": "Toutes les {period} secondes : le nombre de visages dans la salle, arrondi au multiple "
    "inférieur de {k}, et combien de fois une voix a été entendue.",
    "log_mel": "S'il n'est pas sûr, il peut interroger le service distant de l'exploitant et lui envoyer une image du "
    "son (un spectrogramme), à partir de laquelle la parole peut être rendue audible. Elle n'est pas conservée.",
    "crops": "S'il n'est pas sûr, il peut interroger le service distant de l'exploitant et lui envoyer jusqu'à trois "
    "petites images grises d'un visage (48 x 48 pixels). Elles ne sont pas conservées.",
    "never": "Ce qu'il ne fait jamais",
    "identity": "Il ne reconnaît personne et ne conserve ni image ni son.",
    "media": "Aucune image et aucun son n'en sort.",
    "feel": "Il ne peut pas savoir ce que quelqu'un ressent : les estimations peuvent être fausses.",
    "why": "Pourquoi il peut le faire",
    "medical": "Pour des raisons médicales, selon la déclaration de l'exploitant.",
    "safety": "Pour des raisons de sécurité, selon la déclaration de l'exploitant.",
    "study": "Pour une étude avec le consentement des participants : consentement {id}, avis éthique {ethics}, "
    "jusqu'au {date}.",
    "who": "Qui en répond",
    "operator": "Exploitant",
    "contact": "Contact",
    "device": "Appareil",
    "footer": "Mien {version}. Rédigé selon les règles de l'appareil (mode {mode}, {setting}, {jurisdiction}) le "
    "{date}.",
}

TEXTS: dict[Lang, dict[str, str]] = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH}
