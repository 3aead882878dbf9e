"""Where the public data sets are, and under which terms.

The features are those that Abu Farha and Gall (MS-TCN, CVPR 2019) published: one archive of about 30 GB holds
all three. No checksum is pinned here; that of Zenodo's record is taken, which is asked before anything is
downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass

from g2l.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Source:
    """One data set of an archive.

    Attributes:
        dataset: Its name, and that of its folder in the archive.
        record: URL of the JSON that gives size and checksum of the files of a Zenodo record.
        file: Name of the archive in that record.
        url: Where the archive is.
        page: For people to read.
        terms: Of the data set, as far as they are known.
        cite: Whom to cite.
    """

    dataset: str
    record: str
    file: str
    url: str
    page: str
    terms: str
    cite: str


_RECORD = "https://zenodo.org/api/records/3625992"
_UNKNOWN = "its authors state no licence that is known here; ask them before any use beyond research."


def _source(dataset: str, terms: str, cite: str) -> Source:
    return Source(
        dataset=dataset,
        record=_RECORD,
        file="data.zip",
        url=f"{_RECORD}/files/data.zip/content",
        page="https://zenodo.org/records/3625992",
        terms=terms,
        cite=cite,
    )


SOURCES = {
    source.dataset: source
    for source in (
        _source("gtea", _UNKNOWN, "Fathi, Ren and Rehg, CVPR 2011"),
        _source(
            "50salads",
            "Creative Commons BY-NC-SA 4.0: attribution, no commercial use, share alike.",
            "Stein and McKenna, UbiComp 2013",
        ),
        _source("breakfast", _UNKNOWN, "Kuehne, Arslan and Serre, CVPR 2014"),
    )
}


def find_source(name: str) -> Source:
    """Return the source of a data set.

    Raises:
        InputError: None is known of that name; similar ones are suggested.
    """
    if name not in SOURCES:
        known = ", ".join(SOURCES)
        raise InputError(
            f"no source of a data set {name!r} is known; known are {known}.",
            hint=did_you_mean(name, list(SOURCES)),
        )
    return SOURCES[name]
