"""Which axis of the feature files is feature_dim: the one whose length most files share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from g2l.datasets.features import FeatureFile


def feature_axis(files: Mapping[str, FeatureFile], lengths: Mapping[str, int]) -> tuple[int, bool]:
    """Return D, and whether square files are to be read as frames × feature_dim.

    D is the length that occurs in the most files on either axis; between equals, the one that leaves the
    other axis nearest to the number of labels; then the one on the rows.

    Args:
        files: Header of each video, at least one.
        lengths: Number of labels of each video, as far as known.
    """
    occurs: Counter[int] = Counter()
    fits: Counter[int] = Counter()
    rows: Counter[int] = Counter()
    columns: Counter[int] = Counter()
    for name, file in files.items():
        first, last = file.shape
        occurs.update({first, last})
        if first == last:
            continue
        rows[first] += 1
        columns[last] += 1
        if name in lengths:
            fits[first if abs(last - lengths[name]) <= abs(first - lengths[name]) else last] += 1
    dim = max(occurs, key=lambda length: (occurs[length], fits[length], rows[length]))
    return dim, columns[dim] > rows[dim]
