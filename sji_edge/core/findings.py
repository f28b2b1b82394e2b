"""What pydantic found wrong, in words for the user."""

import re

from pydantic_core import ErrorDetails

OWN = ("Value error, ", "Assertion failed, ")
"""What pydantic puts before the message of a validator of ours."""

WANTED = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
}
"""What is wanted where pydantic finds a fault of a kind, with its own bounds."""

NO_CHOICE = re.compile(r"''(, | or )")
"""An empty text among choices stands for an option that was not given."""

SPELT = {"compute_capabilities": "--compute-capability", "opt_batch": "--batch"}
"""Options whose setting has another name."""


def in_words(message: str) -> str:
    """Return a finding's message as the validator wrote it."""
    for prefix in OWN:
        message = message.removeprefix(prefix)
    return message


def in_option_words(finding: ErrorDetails) -> str:
    """Say what is wrong with a command's option, by its name as typed: found, then wanted.

    A finding of settings as a whole names its options itself.
    """
    message = in_words(finding["msg"])
    if not finding["loc"]:
        return message
    field = str(finding["loc"][0])
    option = SPELT.get(field, "--" + field.replace("_", "-"))
    context = {
        name: int(bound) if isinstance(bound, float) and bound.is_integer() else bound
        for name, bound in finding.get("ctx", {}).items()
    }
    if finding["type"] == "literal_error":
        wanted = NO_CHOICE.sub("", str(context["expected"])).replace("'", "")
    elif finding["type"] in WANTED:
        wanted = WANTED[finding["type"]].format(**context)
    else:
        return f"{option}: {message}"
    return f"{option} is {finding['input']!r}; {wanted} was wanted"
