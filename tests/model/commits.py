"""What may be wanted: the model's rules for commits."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.model.site import PDUS, SERVERS, VLANS, VOLUMES, Server
from tests.model.world import World

servers = st.sampled_from(SERVERS)


class Commits(RuleBasedStateMachine):
    world: World

    @rule(name=servers, nic=st.sampled_from(["eth0", "eth1"]), vlan=st.sampled_from([None, *VLANS]))
    def want_network(self, name: str, nic: str, vlan: int | None) -> None:
        server = self.world.site.servers[name]
        if server is not None:
            server.nics.pop(nic, None)
            if vlan is not None:
                server.nics[nic] = vlan
            self.world.commit()

    @rule(name=servers, vlan=st.sampled_from(VLANS))
    def move_network(self, name: str, vlan: int) -> None:
        """Both paths at once."""
        server = self.world.site.servers[name]
        if server is not None:
            server.nics = {"eth0": vlan, "eth1": vlan}
            self.world.commit()

    @rule(name=servers, size=st.sampled_from([None, 5, 6]))
    def want_share(self, name: str, size: int | None) -> None:
        server = self.world.site.servers[name]
        if server is not None:
            server.share = size
            self.world.commit()

    @rule(name=servers, after=st.sampled_from(["", *SERVERS]))
    def want_order(self, name: str, after: str) -> None:
        server = self.world.site.servers[name]
        if server is None:
            return
        before, server.after = server.after, after
        if not self.world.commit():  # a circle, or a server that is not there
            server.after = before

    @rule(pdu=st.sampled_from(PDUS), number=st.integers(1, 3), state=st.sampled_from(["on", "off"]))
    def want_outlet(self, pdu: str, number: int, state: str) -> None:
        """Sometimes neither feed: that is refused while the server answers."""
        self.world.site.outlets[pdu][number] = state
        self.world.commit()

    @rule(number=st.integers(1, 3), power=st.sampled_from(["on", "off"]))
    def want_slot(self, number: int, power: str) -> None:
        """Off is refused while the server answers."""
        self.world.site.slots[number] = power
        self.world.commit()

    @rule(
        name=st.sampled_from(VOLUMES),
        size=st.sampled_from([None, 5, 6]),
        destroy=st.sampled_from([False, False, True]),
    )
    def want_volume(self, name: str, size: int | None, destroy: bool) -> None:
        """Without ``destroy`` none shrinks, or goes."""
        self.world.site.volumes.pop(name, None)
        if size is not None:
            self.world.site.volumes[name] = (size, destroy)
        self.world.commit()

    @rule(vlan=st.sampled_from([50, 51]))
    def want_other_oob(self, vlan: int) -> None:
        """No host cuts itself off."""
        self.world.site.oob = vlan
        self.world.commit()

    @rule(name=servers)
    def trust(self, name: str) -> None:
        """Or do not any more."""
        self.world.site.trusted ^= {name}
        self.world.commit()

    @rule()
    def want_release(self) -> None:
        self.world.site.release += 1
        self.world.commit()

    @rule(name=servers)
    def take_out(self, name: str) -> None:
        before = self.world.site.servers[name]
        self.world.site.servers[name] = None
        if not self.world.commit():  # another needs it
            self.world.site.servers[name] = before

    @rule(name=servers, share=st.sampled_from([None, 5]))
    def put_in(self, name: str, share: int | None) -> None:
        if self.world.site.servers[name] is None and name not in self.world.service.retired:
            self.world.site.servers[name] = Server({"eth0": 20}, share)
            assert self.world.commit()

    @rule(name=servers)
    def retire(self, name: str) -> None:
        if self.world.site.servers[name] is None and name not in self.world.nodes:
            self.world.retire(name)

    @rule(name=servers)
    def enrol_again(self, name: str) -> None:
        if name in self.world.service.retired:
            self.world.enrol(name)
