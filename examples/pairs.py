"""A function of two arguments over a list of pairs.

`map` gives a function one argument. `starmap` takes each pair apart: `power(2, 10)`, `power(3, 7)`, and so
on. The results come in the order of the pairs, whichever worker was the first to finish.

Run it:

    python examples/pairs.py

With `import multiprocessing` in place of the import below it does the same.
"""

import allcores as multiprocessing


def power(base, exponent):
    """The function of two arguments."""
    return base**exponent


if __name__ == "__main__":
    pairs = [(2, 10), (3, 7), (5, 5), (7, 3), (10, 2)]
    with multiprocessing.Pool() as pool:
        results = pool.starmap(power, pairs)
    for (base, exponent), result in zip(pairs, results, strict=True):
        print(f"{base} to the power of {exponent} is {result}")
