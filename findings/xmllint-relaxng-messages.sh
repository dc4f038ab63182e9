#!/bin/bash
# xmllint: what it says of a misspelt attribute, and how long a number may be, in RELAX NG.
#
# Package: libxml2-utils 2.9.14+dfsg-1.3~deb12u6 (Debian 12).
# Guess: a misspelt attribute is named, with its element; any positiveInteger is accepted, 30
#   digits too.
# Seen: in an element that stands alone the attribute is named. In the second of two elements that
#   may repeat within an interleave it is not: the messages name the element only, one of them has
#   no file and no line, and the enclosing element is blamed as well. The line is that on which
#   the start tag ends, not that of the attribute. positiveInteger takes 24 digits and refuses 25.
# Meaning: a scenario that an editor or xmllint calls wrong is better given to ringsim --check,
#   which names the attribute and its line.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/root.sh"

make_root "$work/root" bookworm amd64 libxml2-utils=2.9.14+dfsg-1.3~deb12u6
cat >"$work/root/tmp/schema.rng" <<'END'
<element name="study" xmlns="http://relaxng.org/ns/structure/1.0"
         datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">
  <interleave>
    <element name="fit">
      <attribute name="batch"><data type="positiveInteger"/></attribute>
      <optional><attribute name="rate"/></optional>
    </element>
    <zeroOrMore><element name="way"><attribute name="kind"/></element></zeroOrMore>
  </interleave>
</element>
END

check() {
    printf '%s\n' "$@" >"$work/root/tmp/study.xml"
    inside "$work/root" /usr/bin/xmllint --noout --relaxng /tmp/schema.rng /tmp/study.xml 2>&1 |
        sed 's,^/tmp/study.xml:,,; s/Relax-NG validity error : //; /^\/tmp/d' | paste -s -d '|'
}
number() {
    if [ -z "$(check "<study><fit batch='$1'/></study>")" ]; then
        echo accepted
    else
        echo refused
    fi
}

seen "misspelt in a single element, lines 2 to 4" \
    "4: element fit: Invalid attribute rat for element fit" \
    "$(check '<study>' '<fit' "batch='1'" "rat='2'/>" '</study>')"
seen "misspelt in the second of two" \
    "4: element way: Element way failed to validate attributes|Extra element way in interleave|$(
    )4: element way: Element study failed to validate content" \
    "$(check '<study>' "<fit batch='1'/>" "<way kind='a'/>" "<way knd='b'/>" '</study>')"
nines=99999999999999999999999
seen "positiveInteger of 23, 24, 25 digits" "accepted accepted refused" \
    "$(number $nines) $(number 9$nines) $(number 99$nines)"
verdict
