"""How figures of several rounds become one.

On a machine that does other things too, a round can only be slowed down: by a processor whose caches or whose clock
another program uses. So the typical round is looked for among the undisturbed ones, at the lower quartile, for
whatever is measured alike. On a quiet machine that is about the median.
"""


def typical(figures):
    """The lower quartile."""
    ordered = sorted(figures)
    return ordered[(len(ordered) - 1) // 4]


def typical_each(rounds):
    """The lower quartile of each figure over rounds, which are all lists of figures, or all dicts."""
    if isinstance(rounds[0], dict):
        titles = dict.fromkeys(title for figures in rounds for title in figures)
        return {title: typical([figures.get(title, 0) for figures in rounds]) for title in titles}
    return [typical(column) for column in zip(*rounds, strict=True)]


def spread(figures):
    """How far the lowest and the highest are from the typical one."""
    middle = typical(figures)
    return f"lowest {min(figures) / middle:.2f}, highest {max(figures) / middle:.2f} of it"
