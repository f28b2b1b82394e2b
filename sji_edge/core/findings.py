"""What pydantic found wrong, in words for the user."""

OWN = ("Value error, ", "Assertion failed, ")
"""What pydantic puts before the message of a validator of ours."""


def in_words(message: str) -> str:
    """Return a finding's message as the validator wrote it."""
    for prefix in OWN:
        message = message.removeprefix(prefix)
    return message
