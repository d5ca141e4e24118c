"""What people read, the same in reports and on overlays. A result below the threshold is called just that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydicom.sr.coding import Code

from dicom_node.results.catalogue import SOURCE_LANGUAGE, catalogue_file, read_catalogue
from dicom_node.results.coded_concepts import COARSE_PARTS
from dicom_node.results.messages import Message
from pipeline.findings import ImageFindings, ModelIdentity, Outcome

_WORDS = {
    Outcome.FRACTURE: Message.FRACTURE,
    Outcome.DOUBT: Message.DOUBT,
    Outcome.NO_FRACTURE: Message.BELOW_THRESHOLD,
    Outcome.NOT_PROCESSED: Message.NOT_PROCESSED,
}


@dataclass(frozen=True)
class Wording:
    """A language: its RFC 5646 tag, and what turns an English text into it; texts unknown to it stay as they are."""

    language: str
    translate: Callable[[str], str]

    def text(self, message: str, **values: object) -> str:
        """A message in this language with its values."""
        return self.translate(message).format(**values)

    def number(self, value: float, places: int = 0) -> str:
        """A number with this language's decimal mark."""
        return f"{value:.{places}f}".replace(".", self.text(Message.DECIMAL_MARK)[1])

    @property
    def is_english(self) -> bool:
        """Whether the texts are those that the code holds."""
        return self.language == SOURCE_LANGUAGE


ENGLISH = Wording(SOURCE_LANGUAGE, str)


def wording_of(language: str, catalogue: Path | None = None) -> Wording:
    """The wording of a shipped language, or of a site's own catalogue.

    Raises:
        CompositionError: the catalogue cannot be used; the message names file, text and remedy.
    """
    if catalogue is None and language == SOURCE_LANGUAGE:
        return ENGLISH
    translations = read_catalogue(catalogue or catalogue_file(language))
    return Wording(translations.language, lambda text: translations.texts.get(text, text))


def percent(probability: float, wording: Wording = ENGLISH) -> str:
    """A probability for people, who should read neither certainty nor impossibility into rounding."""
    if probability < 0.01:
        return wording.text(Message.UNDER_ONE)
    if probability > 0.99:
        return wording.text(Message.OVER_NINETY_NINE)
    return wording.text(Message.PERCENT, number=wording.number(probability * 100))


def graded_words(outcome: Outcome, probability: float | None, wording: Wording = ENGLISH) -> str:
    """An outcome with its probability: "Fracture suspected 87 %", "Below threshold, under 1 %"."""
    words = wording.text(_WORDS[outcome])
    if probability is None:
        return words
    share = percent(probability, wording)
    if 0.01 <= probability <= 0.99:
        return wording.text(Message.OUTCOME_SHARE, outcome=words, share=share)
    return wording.text(Message.OUTCOME_BOUND, outcome=words, bound=share)


def outcome_words(findings: ImageFindings, wording: Wording = ENGLISH) -> str:
    """An image's result in words: "Fracture suspected 87 %", "Not processed: No pixel data"."""
    if findings.outcome is Outcome.NOT_PROCESSED and findings.reason:
        return wording.text(
            Message.OUTCOME_REASON,
            outcome=wording.text(Message.NOT_PROCESSED),
            reason=wording.text(findings.reason.meaning),
        )
    return graded_words(findings.outcome, findings.fracture_probability, wording)


def caution_words(findings: ImageFindings, wording: Wording = ENGLISH) -> str:
    """What must not be read into the result; empty where something was found."""
    said = {
        Outcome.NO_FRACTURE: (Message.NOT_EXCLUDED,),
        Outcome.NOT_PROCESSED: (Message.NOT_READ, Message.NOT_EXCLUDED),
    }
    return " ".join(wording.text(message) for message in said.get(findings.outcome, ()))


def body_part_words(findings: ImageFindings, wording: Wording = ENGLISH) -> str:
    """The model's coarse body part; empty where there is none."""
    if findings.body_part is None:
        return ""
    known = COARSE_PARTS.get(findings.body_part.name)
    return wording.text(known.words) if known else findings.body_part.name.capitalize()


def code_words(code: Code, wording: Wording = ENGLISH) -> str:
    """A code's meaning for people; a meaning that came with the film and is unknown stays as it is."""
    return wording.translate(code.meaning)


def threshold_words(findings: ImageFindings, wording: Wording = ENGLISH) -> str:
    """Both operating points, as a sentence."""
    points = findings.thresholds
    shares = {
        name: wording.text(Message.PERCENT, number=wording.number(point * 100, 1))
        for name, point in (("fracture", points.fracture), ("doubt", points.doubt))
    }
    return wording.text(Message.THRESHOLDS, **shares)


def model_words(model: ModelIdentity, wording: Wording = ENGLISH) -> str:
    """Which model read the film, with enough of its digest to tell packages apart."""
    return wording.text(
        Message.PACKAGE,
        model=f"{model.name} {model.version}",
        digest=model.digest.removeprefix("sha256:")[:12],
    )


def reader_words(findings: ImageFindings, wording: Wording = ENGLISH) -> str:
    """Who read the film: model, whole digest, engine, operating points, and the site's profile if it has one."""
    model = findings.model
    sentences = [
        wording.text(
            Message.READ_BY,
            model=f"{model.name} {model.version}",
            digest=model.digest,
            engine=model.engine,
        ),
        threshold_words(findings, wording),
    ]
    if model.profile:
        sentences.append(wording.text(Message.SITE_PROFILE, profile=model.profile))
    return " ".join(sentences)


def notice_words(wording: Wording = ENGLISH) -> str:
    """The research notice, and the English one beside any other."""
    words = wording.text(Message.NOTICE)
    return words if words == Message.NOTICE else f"{words} {Message.NOTICE}"
