"""Text that people wrote, escaped so that Markdown shows it as it is."""

import re

# What begins emphasis, code, links, images, formulas, colours, icons, lists, tables or tags, and
# what makes a link of a bare address; an underscore within a word is none of these.
_MARKDOWN = re.compile(r"([\\`*{}\[\]()#+\-!|$:<>~@]|(?<![^\W_])_|_(?![^\W_])|(?<=www)\.)",
                       re.IGNORECASE)


def plain(text: str) -> str:
    r"""The text so that it is shown as it is, in one paragraph.

    Examples
    --------
    >>> print(plain("<b>[a](http://b)"))
    \<b\>\[a\]\(http\://b\)
    """
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
