"""Forty names that do harm where a name is taken for more than a name: by a shell, an option parser, a terminal."""

NAMES = (
    "a; touch PWNED", "a && touch PWNED", "a | touch PWNED", "a & touch PWNED &", "$(touch PWNED)", "`touch PWNED`",
    "a\ntouch PWNED", "a\r\ntouch PWNED", "${IFS}touch${IFS}PWNED", "a > PWNED", "a >> PWNED", "a 2> PWNED",
    "a < PWNED",
    "'; touch PWNED; '", '"; touch PWNED; "', "a' || touch PWNED #", "--help", "-rf", "--output=PWNED", "-", "--", "-c",
    "a b  c", " leading", "trailing ", "*", "?", "[ab]", "{config}", "{output}{lora}", "%s%n", "%PATH%", "~",
    "~root", "$HOME",
    "\x1b[31mred", "a\tb", "\u202ecod", "ünïcödé 猫", "back\\slash",
)  # fmt: skip
