"""What can be wrong with a pipeline's rules.

InvalidRules
├── InvalidRequirement   a tag requirement: unknown keyword, pattern RE2 refuses, comparison of what is no number
└── InvalidExpression    a CEL expression: does not compile, wrong type, could take too long

Both are permanent and name the field of the pipeline, the place in it and what to write instead; the pipeline's condition Ready shows the text.
"""


class InvalidRules(ValueError):
    """A pipeline whose rules can never be asked. Catch this one."""


class InvalidRequirement(InvalidRules):
    """A requirement that can never be asked."""


class InvalidExpression(InvalidRules):
    """An expression that can never give true or false."""
