"""Signatures over the bytes of manifests."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fltui.errors import BadInputError, NotYetError, RefusedError, SignatureError
from fltui.exchange.layout import PROTOCOL
from fltui.exchange.manifest import End, Result, Task, decode, decode_manifest, digest, encode
from fltui.exchange.signing import DOMAIN, Identity, check_key, fingerprint, signature_fault
from tests.exchange.manifests import RUN, result, task
from tests.exchange.signers import signer

SITE, OTHER = signer(1), signer(2)
END = End(PROTOCOL, RUN, "FINISHED:FAILED", "no quorum", "site-1", f"{RUN}.r0003.end.a01")
SIGNED = SITE.encode(result())
WHERE = "results/x.json"


@pytest.mark.parametrize("document", [task(), result(), END], ids=["task", "result", "end"])
def test_a_signed_manifest_is_the_unsigned_one_with_one_more_line(document: Task | Result | End) -> None:
    signed, unsigned = SITE.encode(document), encode(document)
    found = decode_manifest(signed, WHERE)
    assert signed == unsigned[:-3] + f',\n "signature": "{found.signature}"\n}}\n'.encode()
    assert msgspec.structs.replace(found, signature=msgspec.UNSET) == document
    assert signature_fault(signed, SITE.public) == ""


def test_unsigned_manifests_have_no_field_for_it() -> None:
    assert "signature" not in json.loads(encode(result()))


def test_signing_twice_gives_the_same_bytes() -> None:
    assert SITE.encode(decode(SIGNED, Result, WHERE)) == SIGNED == SITE.encode(result())


def test_a_known_signature_of_a_known_key() -> None:
    """What other languages can compare themselves with; also in docs/protocol.md."""
    assert SITE.public == "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"
    assert fingerprint(SITE.public) == "8356-1adb-398f-d87f-8e7e-d833-1bff-2fcb"
    assert decode(SITE.encode(END), End, WHERE).signature == (
        "1c422f2960ab05f8088a3b9787f91c5f0079e1a6b1045ffcf85b3140c0e773c7"
        "ea71b6a147a9eacf785127167f0e1cb0532a1c4417b8e2e25166f2527c5be003"
    )


@given(at=st.integers(0, len(SIGNED) - 1), mask=st.integers(1, 255))
@example(at=len(SIGNED) - 1, mask=0x2A)  # the line feed at the end turned into a space
@example(at=len(SIGNED) - 5, mask=0x20)  # a digit's case
def test_any_changed_byte_is_found(at: int, mask: int) -> None:
    changed = bytearray(SIGNED)
    changed[at] ^= mask
    assert signature_fault(bytes(changed), SITE.public)


@given(at=st.integers(0, len(SIGNED) - 1))
def test_any_missing_byte_is_found(at: int) -> None:
    assert signature_fault(SIGNED[:at] + SIGNED[at + 1 :], SITE.public)
    assert signature_fault(SIGNED[:at], SITE.public)


@given(at=st.integers(0, len(SIGNED)), byte=st.binary(min_size=1, max_size=3))
def test_any_byte_more_is_found(at: int, byte: bytes) -> None:
    assert signature_fault(SIGNED[:at] + byte + SIGNED[at:], SITE.public)


@given(changes=st.fixed_dictionaries({}, optional={
    "run": st.just("hello-20260131T120001Z-beef"),
    "task_id": st.just(f"{RUN}.r0004.train.a01"),
    "site": st.just("site-2"),
    "round": st.just(4),
    "in_reply_to": st.just("1" * 64),
    "metrics": st.just({"accuracy": 0.6}),
    "meta": st.just({"NUM_STEPS_CURRENT_ROUND": 9}),
}).filter(bool))  # fmt: skip
def test_a_signature_is_of_no_other_content(changes: dict[str, object]) -> None:
    taken = decode(SIGNED, Result, WHERE).signature
    forged = encode(msgspec.structs.replace(result(), **changes, signature=taken))
    assert signature_fault(forged, SITE.public)


def test_a_signature_of_the_bare_bytes_is_none_of_a_manifest() -> None:
    """Whoever gets a key to sign a text does not get a manifest signed."""
    unsigned = encode(result()).removesuffix(b"\n}\n")
    bare = msgspec.structs.replace(result(), signature=SITE.key.sign(unsigned).hex())
    right = msgspec.structs.replace(result(), signature=SITE.key.sign(DOMAIN + unsigned).hex())
    assert [bool(signature_fault(encode(found), SITE.public)) for found in (bare, right)] == [True, False]


def test_the_other_form_of_a_signature_is_refused() -> None:
    """Adding the group's order to S gives numbers that a careless check takes, too."""
    order = 2**252 + 27742317777372353535851937790883648493
    signature = bytes.fromhex(str(decode(SIGNED, Result, WHERE).signature))
    other = signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    assert signature_fault(SIGNED.replace(signature.hex().encode(), other.hex().encode()), SITE.public)


@pytest.mark.parametrize("public", ["0" * 64, "f" * 64, "01" + "0" * 62], ids=["zero", "ones", "neutral"])
def test_a_public_key_that_is_no_point_of_use_verifies_nothing(public: str) -> None:
    assert signature_fault(SIGNED, public)


def test_a_signature_that_is_not_the_last_field_is_none() -> None:
    fields = json.loads(SIGNED)
    moved = json.dumps({"signature": fields.pop("signature"), **fields}, indent=1).encode() + b"\n"
    with pytest.raises(SignatureError, match="does not end with a signature"):
        Identity(trusted={"site-1": SITE.public}).check("site-1", decode(moved, Result, WHERE), moved, WHERE)


@pytest.mark.parametrize("signature", ["", "0" * 127, "0" * 129, "F" * 128, "0" * 128 + "\n", 5])
def test_a_signature_has_128_small_digits(signature: object) -> None:
    data = json.dumps({**json.loads(SIGNED), "signature": signature}, indent=1).encode() + b"\n"
    with pytest.raises(RefusedError, match="signature"):
        decode(data, Result, WHERE)


UNSIGNED = encode(result())
TRUSTED = {"site-1": SITE.public, "site-2": OTHER.public}


@pytest.mark.parametrize(
    ("data", "trusted", "demanded", "reason"),
    [
        (SIGNED, TRUSTED, True, ""),
        (SIGNED, TRUSTED, False, ""),
        (UNSIGNED, TRUSTED, False, ""),
        (UNSIGNED, {}, False, ""),
        (SIGNED, {}, False, ""),
        (UNSIGNED, TRUSTED, True, f"{WHERE} is not signed"),
        (UNSIGNED, {}, True, f"{WHERE} is not signed"),
        (SIGNED, {}, True, "type 'fltui keys trust site-1 KEY'"),
        (SIGNED, {"site-2": SITE.public}, True, "type 'fltui keys trust site-1 KEY'"),
        (OTHER.encode(result()), TRUSTED, True, f"not signed with the key {fingerprint(SITE.public)}"),
        (OTHER.encode(result()), TRUSTED, False, f"not signed with the key {fingerprint(SITE.public)}"),
    ],
)
def test_what_is_refused(data: bytes, trusted: dict[str, str], demanded: bool, reason: str) -> None:
    identity = Identity(trusted=trusted, demanded=demanded)
    found = decode(data, Result, WHERE)
    if reason:
        with pytest.raises(SignatureError) as refused:
            identity.check("site-1", found, data, WHERE)
        assert reason in str(refused.value)
        assert "\n" not in str(refused.value)
    else:
        identity.check("site-1", found, data, WHERE)
        assert identity.signed_by(found) == (SITE.public if data == SIGNED and trusted else "")


def test_a_signed_manifest_whose_last_byte_has_not_come_is_awaited() -> None:
    data = SIGNED[:-1]
    with pytest.raises(NotYetError):
        Identity(trusted=TRUSTED).check("site-1", decode(data, Result, WHERE), data, WHERE)


def test_a_task_is_known_by_the_digest_of_its_signed_bytes() -> None:
    identity = Identity(SITE)
    assert identity.encode(task()) == SITE.encode(task())
    assert digest(identity.encode(task())) != digest(encode(task()))
    assert Identity().encode(task()) == encode(task())
    assert (identity.public, Identity().public) == (SITE.public, "")


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "G" * 64, "A" * 64, "0" * 64 + "\n", "\u0660" * 64])
def test_a_public_key_has_64_small_digits(text: str) -> None:
    with pytest.raises(BadInputError, match="expected 64 digits 0-9a-f"):
        check_key(text, "the key of server")


def test_a_private_key_does_not_show() -> None:
    assert f"{SITE!r} {Identity(SITE)!r}" == "Signer() Identity(signer=Signer(), trusted={}, demanded=False)"
