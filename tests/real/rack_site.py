"""The site of the rack of real parts: its base, and two proposals to add to it."""

SITE = """\
# What nobody has asked for is parked: the port shut in a VLAN of its own, the server's interface down.
site: rack
attributes:
  network: {eth0: {state: down, addresses: []}}
---
node: sw-a1
type: switch
platform: openvswitch
reach:
  - ssh: {host: HOST, port: 2222, username: USER, key: {secret: sw-a1-key}, host_key: PINNED}
links:
  p1: h1:eth0
  p2: h2:eth0
---
node: h1
type: server
---
node: h2
type: server
---
role: parked-ports
for: [switch]
resources:
  - port: "{{ port }}"
    each: port, link in links.items()
    when: link.attributes.network[link.port].vlan is not defined
    admin: down
    mode: access
    access_vlan: 998
---
proposal: base
attributes:
  vlans: {998: {name: parked}}
deploy:
  vlans: [sw-a1]
  parked-ports: [sw-a1]
  access-ports: [sw-a1]
  server-network: [h1, h2]
"""
STORAGE = """\
proposal: storage
attributes:
  vlans: {666: {name: storage}}
deploy:
  vlans: [sw-a1]
---
proposal: storage-of-h1
attributes:
  network: {eth0: {vlan: 666, state: up, addresses: [192.0.2.1/24]}}
deploy:
  server-network: [h1]
---
proposal: storage-of-h2
attributes:
  network: {eth0: {vlan: 666, state: up, addresses: [192.0.2.2/24]}}
deploy:
  server-network: [h2]
"""
BACKUP = """\
proposal: backup
attributes:
  vlans: {667: {name: backup}}
deploy:
  vlans: [sw-a1]
"""
