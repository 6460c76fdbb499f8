"""Properties of a table that keep a density from being learned well."""

import numpy as np

_MIDDLE = (5, 95)  # percentiles between which most rows of a column lie
_FAR = 10  # an outlier is farther out than so many widths of the middle,
_STRETCH = 2  # and multiplies the standard deviation by at least this
_LOOKED_AT = 20_000  # rows among which repeated values are counted
_REPEATED = 5  # rows for each value, on average, in a column with few values
_FEW = 256
_OFTEN = 0.1  # share of the rows that have the same value
_DEPENDENT = 1e-10  # smallest eigenvalue of the correlations of independent columns


def outliers(values: np.ndarray) -> np.ndarray:
    """Return which values lie so far out that they stretch the scale of their column.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (rows, columns), float64; rows that are not finite are ignored.

    Returns
    -------
    numpy.ndarray
        Shape (rows, columns), bool: whether each value is an outlier.
    """
    found = np.zeros(values.shape, dtype=bool)
    usable = np.isfinite(values).all(axis=1)
    if usable.sum() < 3:
        return found
    low = np.percentile(values[usable], _MIDDLE[0], axis=0, method="higher")
    high = np.percentile(values[usable], _MIDDLE[1], axis=0, method="lower")
    with np.errstate(over="ignore", invalid="ignore"):
        width = high - low
        far = usable[:, None] & ((values < low - _FAR * width) | (values > high + _FAR * width))
        for column in np.flatnonzero(far.any(axis=0) & (width > 0)):
            unit = width[column]
            inside = values[usable & ~far[:, column], column] / unit
            spread = (values[usable, column] / unit).std()
            if not spread <= _STRETCH * inside.std():
                found[:, column] = far[:, column]
    return found


def caveats(values: np.ndarray, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return sentences on columns whose density grows without bound as it is learned.

    Such columns take few values, take one value often, or depend linearly on others.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (rows, columns), finite.
    names : tuple of str
        One for each column.
    """
    values = values[::max(1, len(values) // _LOOKED_AT)].astype(np.float64)
    end = (": its density grows without limit as it is learned, so the NLL has no lowest value, "
           "and its fall means nothing. Leave the column out, or add a little noise to it.")
    sentences = []
    for name, column in zip(names, values.T, strict=True):
        found, counts = np.unique(column, return_counts=True)
        if len(found) <= min(_FEW, len(column) / _REPEATED):
            sentences.append(f"Column {name} takes only {len(found)} different values{end}")
        elif counts.max() >= max(_OFTEN * len(column), 10):
            sentences.append(f"Column {name} is {found[counts.argmax()]:.4g} in "
                             f"{counts.max() / len(column):.0%} of the rows{end}")
    dependent = _dependent(values)
    if dependent.any():
        one, *more = [name for name, bad in zip(names, dependent, strict=True) if bad]
        sentences.append(f"Column {one} follows from {' and '.join(more)} by a linear formula: the "
                         "points lie on a line or a plane, where the density grows without limit. "
                         "Leave the column out.")
    return tuple(sentences)


def _dependent(values: np.ndarray) -> np.ndarray:
    """Return which columns take part in a linear equation that holds in every row."""
    spread = values.std(axis=0)
    if not (spread > 0).all() or len(values) <= values.shape[1]:
        return np.zeros(values.shape[1], dtype=bool)
    scaled = (values - values.mean(axis=0)) / spread
    eigenvalues, vectors = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    if eigenvalues[0] > _DEPENDENT:
        return np.zeros(values.shape[1], dtype=bool)
    return np.abs(vectors[:, 0]) > 1e-3
