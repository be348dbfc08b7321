"""A file that needs a package nobody has."""

import flash_attn_of_the_future


def build():
    return flash_attn_of_the_future.Model()
