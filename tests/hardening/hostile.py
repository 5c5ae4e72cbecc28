"""What an enemy might write wherever something can be written."""

from __future__ import annotations

CANARY = "canary"
"""A file of this name in the present directory proves that something was run or redirected."""

SPELLS = {
    "quotes": "a'b\"c''d\\'e\\",
    "sql": "'; DROP TABLE jobs; --",
    "sql in double quotes": 'x"); DELETE FROM jobs; VACUUM; --',
    "sql numbers": "1 OR 1=1",
    "parameters": "?1 :name @name $1 %s %(name)s %n",
    "substitution": f"$(touch {CANARY})",
    "backticks": f"`touch {CANARY}`",
    "next command": f"x; touch {CANARY} #",
    "pipe": f"x | tee {CANARY} && touch {CANARY}",
    "redirection": f"x > {CANARY}",
    "lines": f"a\ntouch {CANARY}\n\r\nb",
    "braces": "{}{0}{jobs!r:>{width}}",
    "option": "--now",
    "short option": "-rf",
    "glob": "../* ? [a-z] ~root {a,b}",
    "terminal": "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m",
    "turned": "\u202eexe.gpj\u2066\u200b\ufeff",
    "unicode": "naïve 値 🚀",
    "long": "x" * 100_000,
    "nul": "a\0b",
    "surrogate": "a\ud800b",
    "byte": "a\udcffb",
}
"""Name -> text."""

UNSPEAKABLE = ("nul", "surrogate", "byte")
"""What no store and no program could be given."""

SPEAKABLE = {name: text for name, text in SPELLS.items() if name not in UNSPEAKABLE}
