"""Whether a number is what it looks like: the check digits of cards, accounts and national ids. No I/O."""

from __future__ import annotations

_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1: the check digit of payment cards."""
    odd = sum(map(int, digits[-1::-2]))
    return (odd + sum(_DOUBLED[int(digit)] for digit in digits[-2::-2])) % 10 == 0


def iban(account: str) -> bool:
    """ISO 13616: an account's capitals and digits, without spaces."""
    return int("".join(str(int(character, 36)) for character in account[4:] + account[:4])) % 97 == 1


def ean13(digits: str) -> bool:
    """GS1: twelve digits and their check digit, by which Swiss social security numbers go."""
    return (sum(map(int, digits[::2])) + 3 * sum(map(int, digits[1::2]))) % 10 == 0


def mod_11_10(digits: str) -> bool:
    """ISO 7064: the hybrid system of German tax ids."""
    product = 10
    for digit in digits[:-1]:
        product = 2 * ((int(digit) + product) % 10 or 10) % 11
    return (11 - product) % 10 == int(digits[-1])
