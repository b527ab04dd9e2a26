package main

const help = `conntrack ` + interfaceVersion + ` interface: the kernel's connection tracking table
Usage: conntrack COMMAND [TABLE] [OPTION]...

Commands:
  -L, --dump       list flows
  -G, --get        list one flow by protocol and addresses; exit code 1 if there is none
  -D, --delete     delete the flows that match; exit code 1 if none did
  -F, --flush      delete all flows, or all of one family
  -C, --count      print how many flows there are
  -S, --stats      print the counters of each CPU
  -E, --event      print what happens to flows, until interrupted
  -V, --version    print the version
  -h, --help       print this

Tables: conntrack (default); dying and unconfirmed for -L

Which flows (-L, -G, -D, -E; all that are given must hold):
  -f, --family ipv4|ipv6        also for -F
  -p, --protonum NAME|NUMBER
  -s, --src, --orig-src ADDRESS[/BITS]
  -d, --dst, --orig-dst ADDRESS[/BITS]
  -r, --reply-src ADDRESS[/BITS]
  -q, --reply-dst ADDRESS[/BITS]
      --mask-src, --mask-dst MASK   mask of --src, of --dst
  -n, --src-nat [ADDRESS[:PORT]]    source was translated (to this)
  -g, --dst-nat [ADDRESS[:PORT]]    destination was translated (to this)
  -j, --any-nat [ADDRESS[:PORT]]    either
  -m, --mark MARK[/MASK]
  -w, --zone, --orig-zone, --reply-zone NUMBER
  -u, --status ASSURED|SEEN_REPLY|UNREPLIED|EXPECTED|SRC_NAT|DST_NAT|
               FIXED_TIMEOUT|OFFLOAD|HW_OFFLOAD[,...]
  -l, --label NAME[,...]            names: ` + labelsFile + `

With -p tcp, udp, udplite, sctp or dccp:
      --sport, --orig-port-src, --dport, --orig-port-dst PORT
      --reply-port-src, --reply-port-dst PORT
      --state STATE                 tcp, sctp and dccp
With -p icmp or icmpv6:
      --icmp-type, --icmp-code, --icmp-id NUMBER
With -p gre:
      --srckey, --dstkey, --reply-key-src, --reply-key-dst KEY

How flows are shown:
  -o, --output extended|id|timestamp|ktimestamp|labels[,...]
  -z, --zero                        -L: set the counters of all flows back
  -e, --event-mask ALL|NEW|UPDATES|DESTROY[,...]   -E: which events
  -b, --buffer-size BYTES           -E: the socket's buffer

Not here: creating and changing flows (-I, -A, -U, -R), the table "expect",
the outputs xml, save and userspace.
`
