"""Inspections as if they had been seen: for what is decided and shown without a network."""

from edgeproxy.probe.addresses import Address
from edgeproxy.probe.certificates import key_type
from edgeproxy.probe.handshake import Observation, Stage
from edgeproxy.probe.inspection import Credential, Inspection, Old, Target
from edgeproxy.probe.staples import StapleState

NONE = StapleState("none")


def shown(leaf, *, staple=NONE, version="TLSv1.3", chain=None, issuer=None):
    seen = Observation(Stage.DONE, chain=chain or leaf.chain, version=version, cipher="C")
    return Credential(key_type(leaf.certificate), seen, staple, issuer)


def failed(kind="any", stage=Stage.HANDSHAKE, *, is_absent=False):
    return Credential(kind, Observation(stage, "a reason"), NONE, is_absent=is_absent)


def inspection(host, *credentials, sni="a.test", resumes=True, accepts=(), unknown=()):
    address = Address(host, 443)
    old = [(version, Old.ACCEPTED) for version in accepts]
    old += [(version, Old.UNKNOWN) for version in unknown]
    return Inspection(Target(address, address, sni), credentials, tuple(old), resumes)
