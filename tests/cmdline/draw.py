# SPDX-License-Identifier: Apache-2.0
"""Random choices that depend on a seed alone."""

import random


class Draw:
    """The same text gives the same choices, on every machine."""

    def __init__(self, text):
        self.random = random.Random(text)

    def chance(self, probability):
        return self.random.random() < probability

    def one(self, values):
        return self.random.choice(list(values))

    def below(self, number):
        return self.random.randrange(number)

    def few(self, values, more):
        """None of them, one with the probability more, two with that of more times more …"""
        count = 0
        while count < len(values) and self.chance(more):
            count += 1
        return self.random.sample(values, count)

    def shuffled(self, values):
        return self.random.sample(values, len(values))

    def maybe(self, probability, value):
        return value if self.chance(probability) else type(value)()

    def weighted(self, *choices):
        """Of (weight, value)."""
        return self.random.choices([value for _, value in choices], [weight for weight, _ in choices])[0]
